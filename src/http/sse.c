#include "http/sse.h"

#include <string.h>

enum { RETRY_DIGITS_MAX = 15 };

void sse_init(struct sse *sse, size_t max_bytes)
{
    *sse = (struct sse){.max_bytes = max_bytes, .retry_ms = -1};
    buf_init(&sse->line, 0);
    buf_init(&sse->type, 0);
    buf_init(&sse->data, 0);
    buf_init(&sse->id, 0);
}

void sse_clear(struct sse *sse)
{
    buf_clear(&sse->line);
    buf_clear(&sse->type);
    buf_clear(&sse->data);
    buf_clear(&sse->id);
}

static size_t sse_bytes(const struct sse *sse)
{
    return sse->line.length + sse->type.length + sse->data.length + sse->id.length;
}

static bool name_is(const char *line, size_t length, const char *name)
{
    return length == strlen(name) && memcmp(line, name, length) == 0;
}

static void sse_set_retry(struct sse *sse, const char *value, size_t length)
{
    int64_t ms = 0;
    if (length == 0 || length > RETRY_DIGITS_MAX)
        return;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9')
            return;
        ms = ms * 10 + (value[i] - '0');
    }
    sse->retry_ms = ms;
}

static void sse_set_field(struct sse *sse, const char *name, size_t name_length, const char *value,
                          size_t length)
{
    if (name_is(name, name_length, "data")) {
        if (sse->has_data)
            buf_add_char(&sse->data, '\n');
        buf_add(&sse->data, value, length);
        sse->has_data = true;
    } else if (name_is(name, name_length, "event")) {
        buf_reset(&sse->type);
        buf_add(&sse->type, value, length);
    } else if (name_is(name, name_length, "id") && !memchr(value, '\0', length)) {
        buf_reset(&sse->id);
        buf_add(&sse->id, value, length);
    } else if (name_is(name, name_length, "retry")) {
        sse_set_retry(sse, value, length);
    }
}

/* True: an event is whole. */
static bool sse_take_line(struct sse *sse)
{
    const char *line = buf_text(&sse->line);
    size_t length = sse->line.length;
    if (!sse->begun && length >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) {
        line += 3;
        length -= 3;
    }
    sse->begun = true;
    if (length == 0) {
        sse->told = true;
        return sse->has_data;
    }
    const char *colon = memchr(line, ':', length);
    size_t name_length = colon ? (size_t)(colon - line) : length;
    const char *value = colon ? colon + 1 : line + length;
    size_t value_length = (size_t)(line + length - value);
    if (value_length > 0 && *value == ' ') {
        value++;
        value_length--;
    }
    sse_set_field(sse, line, name_length, value, value_length);
    return false;
}

/* The event before was told, or had no data. */
static void sse_begin_event(struct sse *sse)
{
    buf_reset(&sse->type);
    buf_reset(&sse->data);
    if (sse->has_data)
        sse->retry_ms = -1;
    sse->has_data = sse->told = false;
}

static size_t line_length(const char *text, size_t bytes)
{
    const char *lf = memchr(text, '\n', bytes);
    size_t length = lf ? (size_t)(lf - text) : bytes;
    const char *cr = memchr(text, '\r', length);
    return cr ? (size_t)(cr - text) : length;
}

size_t sse_take(struct sse *sse, const char *text, size_t bytes, bool *whole)
{
    size_t at = 0;
    *whole = false;
    while (at < bytes && !*whole && !sse->too_large) {
        if (sse->told)
            sse_begin_event(sse);
        if (sse->after_cr && text[at] == '\n') /* the other half of CRLF */
            at++;
        sse->after_cr = false;
        size_t length = line_length(text + at, bytes - at);
        if (sse_bytes(sse) + length > sse->max_bytes) {
            sse->too_large = true;
            break;
        }
        buf_add(&sse->line, text + at, length);
        at += length;
        if (at == bytes)
            break;
        sse->after_cr = text[at++] == '\r';
        *whole = sse_take_line(sse);
        buf_reset(&sse->line);
    }
    return at;
}
