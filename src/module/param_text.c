#include "module/param_text.h"

#include "base/buf.h"
#include "db/time_text.h"
#include "module/json_text.h"

#include <inttypes.h>
#include <stdlib.h>

const char *param_text_int(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%" PRId64, value);
}

const char *param_text_time(struct arena *arena, int64_t at_us)
{
    char text[DB_TIME_BYTES];
    return arena_strdup(arena, db_time_text(text, at_us));
}

static const char *keep_buf(struct arena *arena, struct buf *buf)
{
    const char *text = arena_strndup(arena, buf_text(buf), buf->length);
    buf_clear(buf);
    return text;
}

const char *param_text_array(struct arena *arena, size_t count, const char *const *values)
{
    struct buf buf;
    buf_init(&buf, 0);
    buf_array_open(&buf);
    for (size_t i = 0; i < count; i++)
        buf_array_text(&buf, values[i]);
    buf_array_close(&buf);
    return keep_buf(arena, &buf);
}

const char *param_text_array_int(struct arena *arena, size_t count, const int64_t *values)
{
    struct buf buf;
    buf_init(&buf, 0);
    buf_array_open(&buf);
    for (size_t i = 0; i < count; i++)
        buf_array_int(&buf, values[i]);
    buf_array_close(&buf);
    return keep_buf(arena, &buf);
}

const char *param_text_bytea(struct arena *arena, const void *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    char *text = arena_alloc(arena, 2 * length + 3), *at = text;
    *at++ = '\\';
    *at++ = 'x';
    for (size_t i = 0; i < length; i++) {
        *at++ = digits[from[i] >> 4];
        *at++ = digits[from[i] & 15];
    }
    *at = '\0';
    return text;
}

const char *param_text_json(struct arena *arena, const json_t *value)
{
    char *text = json_text_of(value);
    const char *kept = text ? arena_strdup(arena, text) : NULL;
    free(text);
    return kept;
}
