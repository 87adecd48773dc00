#include "cron/quote.h"

#include "base/buf.h"
#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { QUOTE_BYTES = 40 };

const char *quote_text(struct quote *quote, const char *text, size_t length)
{
    char piece[QUOTE_BYTES + 1];
    size_t cut = 0;
    uint32_t character;
    while (cut < length) {
        size_t bytes = str_character(text + cut, length - cut, &character);
        if (cut + bytes > QUOTE_BYTES)
            break;
        cut += bytes;
    }
    memcpy(piece, text, cut);
    piece[cut] = '\0';
    struct buf buf;
    buf_init(&buf, 0);
    str_printable(&buf, piece);
    snprintf(quote->text, sizeof quote->text, "'%s%s'", buf_text(&buf), cut < length ? "..." : "");
    buf_clear(&buf);
    return quote->text;
}
