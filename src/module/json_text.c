#include "module/json_text.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NUMERIC_DIGITS_MAX = 16383 }; /* of PostgreSQL's numeric, behind the point */

bool json_text_is_shallow(const char *text)
{
    int depth = 0;
    bool in_string = false;
    for (const char *at = text; *at; at++) {
        if (in_string && *at == '\\' && at[1])
            at++;
        else if (*at == '"')
            in_string = !in_string;
        else if (!in_string && (*at == '{' || *at == '['))
            depth++;
        else if (!in_string && (*at == '}' || *at == ']'))
            depth--;
        if (depth > JSON_TEXT_DEPTH_MAX)
            return false;
    }
    return true;
}

/* Behind one number of valid JSON; *digits is how many it has behind the point, written out. */
static const char *number_end(const char *at, long *digits)
{
    char *end;
    *digits = 0;
    at += *at == '-';
    at += strspn(at, "0123456789");
    if (*at == '.') {
        *digits = (long)strspn(at + 1, "0123456789");
        at += 1 + *digits;
    }
    if (*at != 'e' && *at != 'E')
        return at;
    long exponent = strtol(at + 1, &end, 10);
    if (exponent < -NUMERIC_DIGITS_MAX)
        *digits = LONG_MAX;
    else if (exponent < 0)
        *digits -= exponent;
    return end;
}

/* A double's smallest numbers are far smaller: PostgreSQL takes none with more digits. */
static bool text_has_tiny_number(const char *text)
{
    long digits;
    for (const char *at = text; *at;) {
        if (*at == '"') {
            for (at++; *at != '"'; at++)
                at += *at == '\\';
            at++;
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            at = number_end(at, &digits);
            if (digits > NUMERIC_DIGITS_MAX)
                return true;
        } else {
            at++;
        }
    }
    return false;
}

/* jansson takes less than PostgreSQL: no integers past 64 bits, no \u0000, no numbers past a
 * double. */
const char *json_text_fault(const char *text, size_t max_bytes)
{
    json_error_t error;
    if (strlen(text) > max_bytes)
        return "it is too large";
    if (!json_text_is_shallow(text))
        return "it is more than 32 levels deep";
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);
    if (!value)
        return "it is not JSON (with integers of at most 64 bits, and no \\u0000)";
    json_decref(value);
    return text_has_tiny_number(text) ? "a number has more than 16383 digits behind the point"
                                      : NULL;
}

static bool value_is_shallow(const json_t *value, int levels)
{
    size_t i;
    const char *key;
    json_t *each;
    if (!json_is_object(value) && !json_is_array(value))
        return true;
    if (levels == 0)
        return false;
    json_array_foreach(value, i, each) if (!value_is_shallow(each, levels - 1)) return false;
    json_object_foreach((json_t *)(uintptr_t)value, key,
                        each) if (!value_is_shallow(each, levels - 1)) return false;
    return true;
}

char *json_text_of(const json_t *value)
{
    if (!value || !value_is_shallow(value, JSON_TEXT_DEPTH_MAX))
        return NULL;
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}
