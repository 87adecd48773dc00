#include "module/log_line.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errand/errand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_LINE_LOOKED_AT = 65536 }; /* of a longer one, nothing behind is read */

static const char replacement[] = "\xEF\xBF\xBD", more[] = "...";

/* Each character that is none, NUL among them, as U+FFFD. */
static void line_add_clean(struct buf *line, const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t character;
        size_t bytes = str_character(text + at, length - at, &character);
        if (character == 0 || (character == STR_REPLACEMENT && bytes == 1))
            buf_add(line, replacement, sizeof replacement - 1);
        else
            buf_add(line, text + at, bytes);
        at += bytes;
    }
}

/* At a character's end. */
static void line_cut(struct buf *line)
{
    size_t length = ERRAND_LOG_LINE_MAX - (sizeof more - 1);
    if (line->length <= ERRAND_LOG_LINE_MAX)
        return;
    while (((unsigned char)line->data[length] & 0xC0) == 0x80)
        length--;
    line->length = length;
    buf_add_text(line, more);
}

void log_line_clean(struct buf *line, const char *text, size_t length)
{
    buf_init(line, 0);
    line_add_clean(line, text, length);
    /* Before it is cut, so that no part of a secret passes. */
    if (line->length) {
        log_redact(line->data);
        line->length = strlen(line->data);
    }
    line_cut(line);
}

void log_line_format(struct buf *line, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int whole = vsnprintf(NULL, 0, format, args);
    size_t length = whole < 0 ? 0 : (size_t)whole;
    length = length < LOG_LINE_LOOKED_AT ? length : LOG_LINE_LOOKED_AT;
    char *text = mem_zalloc(length + 1);
    vsnprintf(text, length + 1, format, again);
    va_end(again);
    log_line_clean(line, text, length);
    free(text);
}
