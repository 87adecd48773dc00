#include "cli/limit.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool limit_is_none(const char *text, char number[LIMIT_BYTES])
{
    if (strcmp(text, "none") != 0)
        return false;
    snprintf(number, LIMIT_BYTES, "0");
    return true;
}

bool limit_parse_count(const char *text, char number[LIMIT_BYTES])
{
    if (limit_is_none(text, number))
        return true;
    size_t digits = strspn(text, "0123456789");
    long value = digits > 0 && digits <= 6 && !text[digits] ? atol(text) : -1;
    if (value < 0 || value > 100000)
        return false;
    snprintf(number, LIMIT_BYTES, "%ld", value);
    return true;
}

/* What a second is of the unit; 0: there is no such unit. */
static double limit_unit_seconds(const char *unit)
{
    if (!*unit || strcmp(unit, "/s") == 0)
        return 1;
    if (strcmp(unit, "/m") == 0)
        return 60;
    return strcmp(unit, "/h") == 0 ? 3600 : 0;
}

bool limit_parse_rate(const char *text, char number[LIMIT_BYTES])
{
    char *end;
    if (limit_is_none(text, number))
        return true;
    if (*text < '0' || *text > '9' || strspn(text, "0123456789.") == 0)
        return false;
    errno = 0;
    double value = strtod(text, &end), seconds = limit_unit_seconds(end);
    /* No hexadecimal, no exponent. */
    if ((size_t)(end - text) != strspn(text, "0123456789.") || errno != 0 || seconds <= 0)
        return false;
    value /= seconds;
    if (!isfinite(value) || value > 1000000)
        return false;
    snprintf(number, LIMIT_BYTES, "%.15g", value);
    return true;
}
