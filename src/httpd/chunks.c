#include "httpd/chunks.h"

#include <stdbool.h>
#include <string.h>

enum { LINE_BYTES = 4096, SIZE_DIGITS = 7 };

struct chunks {
    const char *at, *end;
};

struct chunks_line {
    const char *text;
    size_t length;
};

/* One line, without its end. */
static enum chunks_verdict chunks_take_line(struct chunks *chunks, struct chunks_line *line)
{
    size_t left = (size_t)(chunks->end - chunks->at);
    const char *lf = left ? memchr(chunks->at, '\n', left) : NULL;
    if (!lf)
        return left > LINE_BYTES ? CHUNKS_BAD : CHUNKS_MORE;
    *line = (struct chunks_line){chunks->at, (size_t)(lf - chunks->at)};
    if (line->length == 0 || line->text[--line->length] != '\r')
        return CHUNKS_BAD;
    for (size_t i = 0; i < line->length; i++)
        if ((unsigned char)line->text[i] < ' ' && line->text[i] != '\t')
            return CHUNKS_BAD;
    chunks->at = lf + 1;
    return CHUNKS_WHOLE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `1f` or `1f;extension` */
static bool line_size(const struct chunks_line *line, size_t *size)
{
    size_t i = 0, digits = 0;
    *size = 0;
    for (; i < line->length && hex_value(line->text[i]) >= 0; i++) {
        *size = *size << 4 | (size_t)hex_value(line->text[i]);
        digits += *size > 0;
    }
    return i > 0 && digits <= SIZE_DIGITS && (i == line->length || line->text[i] == ';');
}

static enum chunks_verdict chunks_take_data(struct chunks *chunks, size_t size)
{
    size_t left = (size_t)(chunks->end - chunks->at);
    if ((left > size && chunks->at[size] != '\r') ||
        (left > size + 1 && chunks->at[size + 1] != '\n'))
        return CHUNKS_BAD;
    if (left < size + 2)
        return CHUNKS_MORE;
    chunks->at += size + 2;
    return CHUNKS_WHOLE;
}

static enum chunks_verdict chunks_take_trailers(struct chunks *chunks)
{
    struct chunks_line line;
    enum chunks_verdict verdict;
    while ((verdict = chunks_take_line(chunks, &line)) == CHUNKS_WHOLE && line.length > 0)
        if (!memchr(line.text + 1, ':', line.length - 1))
            return CHUNKS_BAD;
    return verdict;
}

enum chunks_verdict chunks_judge(const char *data, size_t length)
{
    struct chunks chunks = {data, data + length};
    for (;;) {
        struct chunks_line line;
        size_t size;
        enum chunks_verdict verdict = chunks_take_line(&chunks, &line);
        if (verdict != CHUNKS_WHOLE)
            return verdict;
        if (!line_size(&line, &size))
            return CHUNKS_BAD;
        if (size == 0)
            return chunks_take_trailers(&chunks);
        verdict = chunks_take_data(&chunks, size);
        if (verdict != CHUNKS_WHOLE)
            return verdict;
    }
}
