#include "error.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The length of the UTF-8 character at bytes, 0 when there is none (RFC 3629: no overlong forms, no
 * surrogates, nothing past U+10FFFF). */
static size_t character_length(const char *bytes, size_t length, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char first = (unsigned char)bytes[0];
    size_t need = first < 0x80 ? 1 : first < 0xC0 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    *code = first;
    if (need <= 1)
        return need;
    if (need > length || first > 0xF4)
        return 0;
    *code = first & (0xFFu >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        unsigned char next = (unsigned char)bytes[i];
        if ((next & 0xC0) != 0x80)
            return 0;
        *code = *code << 6 | (next & 0x3Fu);
    }
    return *code < least[need] || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000) ? 0
                                                                                          : need;
}

static bool code_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029;
}

void email_line_copy(char *out, size_t size, const char *bytes, size_t length)
{
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        uint32_t code;
        size_t taken = character_length(bytes + at, length - at, &code);
        const char *piece = taken ? bytes + at : "?";
        size_t piece_length = taken ? taken : 1;
        at += piece_length;
        if (taken && (code == ' ' || code_is_control(code))) {
            if (used == 0 || out[used - 1] == ' ')
                continue;
            piece = " ";
            piece_length = 1;
        }
        if (used + piece_length >= size)
            break;
        memcpy(out + used, piece, piece_length);
        used += piece_length;
    }
    while (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
}

bool email_line_check(const char *text)
{
    size_t length = strlen(text);
    for (size_t at = 0, taken; at < length; at += taken) {
        uint32_t code;
        taken = character_length(text + at, length - at, &code);
        if (taken == 0 || code_is_control(code))
            return false;
    }
    return true;
}

bool email_error_set(struct email_error *error, const char *format, ...)
{
    char text[EMAIL_ERROR_BYTES * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    email_line_copy(error->text, sizeof error->text, text, strlen(text));
    return false;
}
