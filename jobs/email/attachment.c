#include "attachment.h"

#include "value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Base64 without the line ends that PostgreSQL's encode() and base64(1) put in; NULL when it is
 * none. */
static json_t *base64_clean(const char *text)
{
    size_t length = 0, padding = 0;
    char *clean = malloc(strlen(text) + 1);
    bool ok = clean != NULL;
    for (; ok && *text; text++) {
        bool digit = (*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z') ||
                     (*text >= '0' && *text <= '9') || *text == '+' || *text == '/';
        if (strchr(" \t\r\n", *text))
            continue;
        ok = digit ? padding == 0 : *text == '=' && ++padding <= 2;
        clean[length++] = *text;
    }
    ok = ok && length > 0 && length % 4 == 0;
    json_t *value = ok ? json_stringn(clean, length) : NULL;
    free(clean);
    return value;
}

static bool attachment_set_content(json_t *made, size_t number, const char *content, size_t *left,
                                   struct email_error *error)
{
    json_t *clean = base64_clean(content);
    size_t length = json_string_length(clean);
    json_object_set_new(made, "content", clean);
    if (!clean)
        return email_error_set(error, "attachment %zu: its content is no base64", number);
    if (length > *left)
        return email_error_set(error, "attachments are more than %d bytes", ATTACHMENT_MAX_BYTES);
    *left -= length;
    return true;
}

static bool attachment_set_line(json_t *made, size_t number, const char *key, const char *text,
                                struct email_error *error)
{
    if (!*text || strlen(text) > EMAIL_LINE_BYTES || !email_line_check(text))
        return email_error_set(error, "attachment %zu: %s is not one line of text", number, key);
    if (strcmp(key, "path") == 0 && strncasecmp(text, "https://", 8) != 0)
        return email_error_set(error, "attachment %zu: path is no https:// address", number);
    json_object_set_new(made, key, json_string(text));
    return true;
}

/* Keys in a fixed order, and none that the provider would overlook in silence. */
static bool attachment_make(json_t *made, size_t number, const json_t *from, size_t *left,
                            struct email_error *error)
{
    static const char *const keys[] = {"filename", "content", "path", "content_type", "content_id"};
    size_t known = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(from, keys[i]);
        const char *text = value_text(value);
        known += value != NULL;
        if (!value_is_present(value))
            continue;
        if (!text)
            return email_error_set(error, "attachment %zu: %s is no text", number, keys[i]);
        if (i == 1 ? !attachment_set_content(made, number, text, left, error)
                   : !attachment_set_line(made, number, keys[i], text, error))
            return false;
    }
    if (known < json_object_size(from))
        return email_error_set(error,
                               "attachment %zu has a key that is none of filename, content, "
                               "path, content_type, content_id",
                               number);
    if (!json_object_get(made, "content") == !json_object_get(made, "path"))
        return email_error_set(error, "attachment %zu needs either content or path", number);
    return json_object_get(made, "path") || json_object_get(made, "filename") ||
           email_error_set(error, "attachment %zu has no filename", number);
}

bool attachment_list_add(json_t *list, const json_t *from, struct email_error *error)
{
    size_t left = ATTACHMENT_MAX_BYTES;
    if (!json_is_array(from))
        return email_error_set(error, "attachments is no array");
    if (json_array_size(from) > ATTACHMENT_MAX_LIST)
        return email_error_set(error, "more than %d attachments", ATTACHMENT_MAX_LIST);
    for (size_t i = 0; i < json_array_size(from); i++) {
        json_t *made = json_object();
        json_array_append_new(list, made);
        if (!json_is_object(json_array_get(from, i)))
            return email_error_set(error, "attachment %zu is no object", i + 1);
        if (!attachment_make(made, i + 1, json_array_get(from, i), &left, error))
            return false;
    }
    return true;
}
