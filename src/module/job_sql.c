/* The public job API of include/errand/errand.h for statements' parameters that are not plain
 * texts. What comes back is read in rows.c. A call that is a mistake gives SQL NULL. */
#include "module/call.h"

#include "base/buf.h"
#include "db/unit.h"
#include "module/json_text.h"

#include <inttypes.h>
#include <stdlib.h>

const char *errand_int_text(struct errand_job *job, int64_t value)
{
    if (!call_is_own(job, "errand_int_text"))
        return NULL;
    return arena_printf(&job->attempt->arena, "%" PRId64, value);
}

const char *errand_time_text(struct errand_job *job, int64_t at_us)
{
    if (!call_is_own(job, "errand_time_text"))
        return NULL;
    char text[DB_TIME_BYTES];
    return arena_strdup(&job->attempt->arena, db_time_text(text, at_us));
}

static const char *job_keep_buf(struct errand_job *job, struct buf *buf)
{
    const char *text = arena_strndup(&job->attempt->arena, buf_text(buf), buf->length);
    buf_clear(buf);
    return text;
}

const char *errand_array_text(struct errand_job *job, size_t count, const char *const *values)
{
    if (!call_is_own(job, "errand_array_text"))
        return NULL;
    struct buf buf;
    buf_init(&buf, 0);
    buf_array_open(&buf);
    for (size_t i = 0; i < count; i++)
        buf_array_text(&buf, values[i]);
    buf_array_close(&buf);
    return job_keep_buf(job, &buf);
}

const char *errand_array_int(struct errand_job *job, size_t count, const int64_t *values)
{
    if (!call_is_own(job, "errand_array_int"))
        return NULL;
    struct buf buf;
    buf_init(&buf, 0);
    buf_array_open(&buf);
    for (size_t i = 0; i < count; i++)
        buf_array_int(&buf, values[i]);
    buf_array_close(&buf);
    return job_keep_buf(job, &buf);
}

const char *errand_bytea_text(struct errand_job *job, const void *bytes, size_t length)
{
    if (!call_is_own(job, "errand_bytea_text"))
        return NULL;
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    char *text = arena_alloc(&job->attempt->arena, 2 * length + 3), *at = text;
    *at++ = '\\';
    *at++ = 'x';
    for (size_t i = 0; i < length; i++) {
        *at++ = digits[from[i] >> 4];
        *at++ = digits[from[i] & 15];
    }
    *at = '\0';
    return text;
}

const char *errand_json_text(struct errand_job *job, const json_t *value)
{
    if (!call_is_own(job, "errand_json_text"))
        return NULL;
    char *text = json_text_of(value);
    const char *kept = text ? arena_strdup(&job->attempt->arena, text) : NULL;
    free(text);
    return kept;
}
