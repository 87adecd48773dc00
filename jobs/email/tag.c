#include "tag.h"

#include "value.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool tag_check(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= TAG_BYTES &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
               length;
}

static bool tag_list_add_one(json_t *tags, const char *name, const json_t *value,
                             struct email_error *error)
{
    char digits[32];
    const char *text = value_text(value);
    if (json_is_integer(value)) {
        snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = digits;
    }
    if (!name || !tag_check(name))
        return email_error_set(error, "tag '%.60s': a name is 1 to 256 of A-Z a-z 0-9 _ -",
                               name ? name : "");
    if (!text || !tag_check(text))
        return email_error_set(error, "tag '%.60s': its value is not 1 to 256 of A-Z a-z 0-9 _ -",
                               name);
    if (strcmp(name, "message_id") == 0)
        return email_error_set(error, "tag 'message_id' is set by the job itself");
    json_object_set_new(tags, name, json_string(text));
    return true;
}

bool tag_list_add(json_t *tags, const json_t *from, struct email_error *error)
{
    const char *name;
    json_t *value;
    if (value_is_present(from) && !json_is_object(from) && !json_is_array(from))
        return email_error_set(error, "tags is neither an object nor an array");
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        if (!tag_list_add_one(tags, name, value, error))
            return false;
    }
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *tag = json_array_get(from, i);
        if (!tag_list_add_one(tags, value_text(json_object_get(tag, "name")),
                              json_object_get(tag, "value"), error))
            return false;
    }
    return json_object_size(tags) < TAG_MAX_LIST ||
           email_error_set(error, "more than %d tags", TAG_MAX_LIST - 1);
}

json_t *tag_list_array(const char *id, json_t *tags)
{
    json_t *list = json_pack("[{s:s,s:s}]", "name", "message_id", "value", id), *value;
    const char *name;
    json_object_foreach(tags, name, value)
    {
        json_array_append_new(list, json_pack("{s:s,s:O}", "name", name, "value", value));
    }
    return list;
}
