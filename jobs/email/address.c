#include "address.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_atom(char c)
{
    return is_letter_or_digit(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* What is being read, for the error: the role and the address as it was given, cut to a length that
 * leaves room for the reason. */
struct subject {
    const char *role;
    char shown[121];
    struct email_error *error;
};

static bool subject_fail(const struct subject *subject, const char *reason)
{
    return email_error_set(subject->error, "%s '%s' %s", subject->role, subject->shown, reason);
}

static bool local_check(const struct subject *subject, const char *local, size_t length)
{
    bool after_dot = true;
    if (length == 0)
        return subject_fail(subject, "has nothing before the '@'");
    if (length > ADDRESS_LOCAL_BYTES)
        return subject_fail(subject, "has more than 64 characters before the '@'");
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)local[i] >= 0x80)
            return subject_fail(subject, "has a character outside ASCII before the '@'");
        if (local[i] == '.' ? after_dot : !is_atom(local[i]))
            return subject_fail(subject, local[i] == '.' ? "has a misplaced dot before the '@'"
                                                         : "has a character before the '@' that "
                                                           "no address has there");
        after_dot = local[i] == '.';
    }
    return !after_dot || subject_fail(subject, "has a misplaced dot before the '@'");
}

static bool label_check(const struct subject *subject, const char *label, size_t length)
{
    if (length == 0)
        return subject_fail(subject, "has an empty part in its domain");
    if (length > 63)
        return subject_fail(subject, "has a part of more than 63 characters in its domain");
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)label[i] >= 0x80)
            return subject_fail(subject, "has a domain outside ASCII: write it as xn--");
        if (!is_letter_or_digit(label[i]) && label[i] != '-')
            return subject_fail(subject, "has a character in its domain that no domain has");
    }
    if (label[0] == '-' || label[length - 1] == '-')
        return subject_fail(subject, "has a '-' at the border of a part of its domain");
    return true;
}

static bool domain_check(const struct subject *subject, const char *domain, size_t length)
{
    const char *end = domain + length, *label = domain, *dot;
    if (length == 0)
        return subject_fail(subject, "has no domain");
    if (!memchr(domain, '.', length))
        return subject_fail(subject, "has a domain without a dot");
    while ((dot = memchr(label, '.', (size_t)(end - label)))) {
        if (!label_check(subject, label, (size_t)(dot - label)))
            return false;
        label = dot + 1;
    }
    if (!label_check(subject, label, (size_t)(end - label)))
        return false;
    for (; label < end; label++)
        if (*label < '0' || *label > '9')
            return true;
    return subject_fail(subject, "has a number at the end of its domain");
}

static bool bare_check(const struct subject *subject, const char *bare, size_t length)
{
    const char *sign = memchr(bare, '@', length);
    size_t local = sign ? (size_t)(sign - bare) : length;
    if (length == 0)
        return subject_fail(subject, "has no address between '<' and '>'");
    if (!sign)
        return subject_fail(subject, "has no domain");
    if (memchr(sign + 1, '@', length - local - 1))
        return subject_fail(subject, "has more than one '@': one address is wanted");
    if (length > ADDRESS_BARE_BYTES)
        return subject_fail(subject, "is longer than 254 characters");
    return local_check(subject, bare, local) && domain_check(subject, sign + 1, length - local - 1);
}

static bool quoted_name_check(const struct subject *subject, const char *name, size_t length)
{
    for (size_t i = 1; i < length; i++) {
        if (name[i] == '"')
            return i == length - 1 || subject_fail(subject, "has text after its quoted name");
        if (name[i] == '\\')
            i++;
    }
    return subject_fail(subject, "has a quoted name without an end");
}

static bool name_check(const struct subject *subject, const char *name, size_t length)
{
    if (length == 0)
        return true;
    if (name[0] == '"')
        return quoted_name_check(subject, name, length);
    for (size_t i = 0; i < length; i++)
        if (strchr("<>@,;:\"\\[]", name[i]))
            return subject_fail(subject, "has a name that needs double quotes around it");
    return true;
}

/* The last '<' opens the address, so that a quoted name may hold one. */
static const char *last_open(const char *text, const char *end)
{
    while (end > text && end[-1] != '<')
        end--;
    return end > text ? end - 1 : NULL;
}

static void bare_copy(char *bare, const char *from, size_t length)
{
    bool in_domain = false;
    for (size_t i = 0; i < length; i++) {
        in_domain = in_domain || from[i] == '@';
        bare[i] = in_domain && from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] + 32) : from[i];
    }
    bare[length] = '\0';
}

/* text has length bytes, neither starts nor ends with a space, and holds no control characters. */
static bool address_split(struct address *address, const struct subject *subject, const char *text,
                          size_t length)
{
    const char *bare = text, *bare_end = text + length, *open, *name_end;
    if (text[length - 1] == '>') {
        open = last_open(text, bare_end);
        if (!open)
            return subject_fail(subject, "has a '>' without a '<'");
        for (name_end = open; name_end > text && name_end[-1] == ' ';)
            name_end--;
        if (!name_check(subject, text, (size_t)(name_end - text)))
            return false;
        bare = open + 1;
        bare_end--;
    } else if (memchr(text, '<', length)) {
        return subject_fail(subject, "has a '<' without a '>' at its end");
    }
    if (!bare_check(subject, bare, (size_t)(bare_end - bare)))
        return false;
    bare_copy(address->bare, bare, (size_t)(bare_end - bare));
    memcpy(address->text, text, length);
    address->text[length] = '\0';
    return true;
}

bool address_parse(struct address *address, const char *text, const char *role,
                   struct email_error *error)
{
    struct subject subject = {.role = role, .error = error};
    size_t length;
    text = text ? text : "";
    text += strspn(text, " ");
    length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    email_line_copy(subject.shown, sizeof subject.shown, text, length);
    if (length == 0)
        return email_error_set(error, "%s is empty: no address", role);
    if (!email_line_check(text))
        return subject_fail(&subject, "has a line break, a control character or invalid UTF-8");
    if (length > ADDRESS_TEXT_BYTES)
        return subject_fail(&subject, "is longer than 998 bytes");
    return address_split(address, &subject, text, length);
}

bool address_normalise(const char *text, char bare[ADDRESS_BARE_BYTES + 1],
                       struct email_error *error)
{
    struct address address;
    if (!address_parse(&address, text, "address", error))
        return false;
    memcpy(bare, address.bare, strlen(address.bare) + 1);
    return true;
}

/* ---- lists ---- */

static bool list_holds(const json_t *list, const char *bare)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text && strcmp(text, bare) == 0)
            return true;
    }
    return false;
}

static bool list_add(json_t *list, json_t *bare, const json_t *value, const json_t *leave_out,
                     const char *role, struct email_error *error)
{
    struct address address;
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value))
        return email_error_set(error, "%s holds something that is no address", role);
    if (!address_parse(&address, text, role, error))
        return false;
    if (list_holds(leave_out, address.bare))
        return true;
    json_array_append_new(list, json_string(address.text));
    if (bare)
        json_array_append_new(bare, json_string(address.bare));
    return true;
}

bool address_list_read(json_t *list, json_t *bare, const json_t *value, const json_t *leave_out,
                       const char *role, struct email_error *error)
{
    size_t count = json_array_size(value);
    if (!json_is_array(value))
        return list_add(list, bare, value, leave_out, role, error);
    if (count > ADDRESS_MAX_LIST)
        return email_error_set(error, "%s has %zu addresses; at most %d are allowed", role, count,
                               ADDRESS_MAX_LIST);
    for (size_t i = 0; i < count; i++)
        if (!list_add(list, bare, json_array_get(value, i), leave_out, role, error))
            return false;
    return true;
}
