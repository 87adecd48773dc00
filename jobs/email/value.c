#include "value.h"

#include <stdio.h>
#include <string.h>

bool value_is_present(const json_t *value)
{
    return value && !json_is_null(value);
}

const char *value_text(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

bool value_depth_check(const char *text, size_t length)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t at = 0; at < length; at++) {
        if (in_string && text[at] == '\\')
            at++;
        else if (text[at] == '"')
            in_string = !in_string;
        else if (!in_string && (text[at] == '{' || text[at] == '[')) {
            if (++depth > VALUE_MAX_DEPTH)
                return false;
        } else if (!in_string && depth > 0 && (text[at] == '}' || text[at] == ']'))
            depth--;
    }
    return true;
}

json_t *value_parse(const char *text, size_t length, json_error_t *error)
{
    if (value_depth_check(text, length))
        return json_loadb(text, length, JSON_DECODE_ANY, error);
    *error = (json_error_t){0};
    snprintf(error->text, sizeof error->text, "it is nested deeper than %d", VALUE_MAX_DEPTH);
    return NULL;
}
