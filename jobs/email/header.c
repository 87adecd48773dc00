#include "header.h"

#include "value.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* RFC 5322's ftext, and none of the headers that the rest of a request decides. */
static bool header_name_check(const char *name, struct email_error *error)
{
    static const char *const ours[] = {
        "from", "sender",      "to",           "cc",         "bcc",      "reply-to",      "subject",
        "date", "return-path", "mime-version", "message-id", "received", "dkim-signature"};
    size_t length = strlen(name);
    if (length == 0 || length > HEADER_NAME_BYTES)
        return email_error_set(error, "a header's name has 1 to %d characters", HEADER_NAME_BYTES);
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
            return email_error_set(error, "header '%s' has a character that no header's name has",
                                   name);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(name, ours[i]) == 0 || strncasecmp(name, "content-", 8) == 0)
            return email_error_set(error, "header '%s' cannot be set by hand", name);
    return true;
}

bool header_check(const char *name, const char *value, struct email_error *error)
{
    if (!header_name_check(name, error))
        return false;
    if (!value || strlen(value) > EMAIL_LINE_BYTES || !email_line_check(value))
        return email_error_set(error, "header '%s' is not one line of at most %d bytes of text",
                               name, EMAIL_LINE_BYTES);
    return true;
}

static void header_list_set(json_t *headers, const char *name, const char *value)
{
    const char *present;
    json_t *old;
    void *next;
    json_object_foreach_safe(headers, next, present, old)
    {
        if (strcasecmp(present, name) == 0)
            json_object_del(headers, present);
    }
    json_object_set_new(headers, name, json_string(value));
}

bool header_list_add(json_t *headers, const json_t *from, struct email_error *error)
{
    const char *name;
    json_t *value;
    if (value_is_present(from) && !json_is_object(from))
        return email_error_set(error, "headers is no object of names and values");
    if (json_object_size(from) > HEADER_MAX_LIST)
        return email_error_set(error, "more than %d headers", HEADER_MAX_LIST);
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        const char *text = value_text(value);
        if (!header_check(name, text, error))
            return false;
        header_list_set(headers, name, text);
    }
    return true;
}
