#include "base/err.h"

#include <stdio.h>
#include <string.h>

void err_clear(struct err *err)
{
    err->code = ERR_NONE;
    err->sqlstate[0] = '\0';
    err->text[0] = '\0';
}

/* A cut in the middle of a UTF-8 sequence would make the text unfit for PostgreSQL and JSON. */
static void text_trim_to_character(char *text, size_t length)
{
    size_t at = length;
    while (at > 0 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
        at--;
    if (at > 0 && (unsigned char)text[at - 1] >= 0xC0)
        text[at - 1] = '\0';
}

bool err_vset(struct err *err, enum err_code code, const char *format, va_list args)
{
    err->code = code;
    err->sqlstate[0] = '\0';
    int length = vsnprintf(err->text, sizeof err->text, format, args);
    if (length >= (int)sizeof err->text)
        text_trim_to_character(err->text, sizeof err->text - 1);
    return false;
}

bool err_set(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err_vset(err, code, format, args);
    va_end(args);
    return false;
}

bool err_prefix(struct err *err, const char *format, ...)
{
    char prefix[ERR_TEXT_BYTES / 2];
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(text, err->text, sizeof text);
    int length = snprintf(err->text, sizeof err->text, "%s: %s", prefix, text);
    if (length >= (int)sizeof err->text)
        text_trim_to_character(err->text, sizeof err->text - 1);
    return false;
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[] = {"none",      "temporary",       "permanent", "config",
                                        "cancelled", "unknown outcome", "bug"};
    return (unsigned)code < sizeof names / sizeof *names ? names[code] : "?";
}
