/* The table of calls, and those of them that tell and finish. */
#include "isolate/serve.h"

#include "base/str.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#define SERVE_ROW(number, text, answered)                                                          \
    [WIRE_##number] = {.name = (text), .serve = serve_##number, .is_answered = (answered)},
#define SERVE_KEEPS(number) [WIRE_##number].keeps = true

const struct serve_row serve_rows[WIRE_CALL_COUNT] = {
    WIRE_CALLS(SERVE_ROW) SERVE_KEEPS(EFFECT),
    SERVE_KEEPS(ENQUEUE_EFFECT),
    SERVE_KEEPS(WAIT),
    SERVE_KEEPS(SIGNAL),
    SERVE_KEEPS(SIGNAL_EFFECT),
    SERVE_KEEPS(RESULT),
    SERVE_KEEPS(ERROR_CLASS),
    SERVE_KEEPS(DONE),
    SERVE_KEEPS(FAIL),
    SERVE_KEEPS(RETRY),
    SERVE_KEEPS(SNOOZE),
    SERVE_KEEPS(CANCELLED),
    SERVE_KEEPS(UNKNOWN),
};

static const int64_t DELAY_MAX_MS = INT64_C(3650) * 86400000;

/* ---- Fields ---- */

const char *serve_words(struct errand_job *job, const char *text, size_t length)
{
    char *words = arena_strndup(&job->attempt->arena, text, length);
    uint32_t character;
    for (size_t at = 0, size; at < length; at += size) {
        size = str_character(words + at, length - at, &character);
        if (size == 1 && character == STR_REPLACEMENT)
            words[at] = '?';
    }
    return words;
}

const char *serve_read_words(struct errand_job *job, struct frame_reader *in)
{
    const char *text = frame_read_present(in);
    return serve_words(job, text, strlen(text));
}

int serve_read_ms(struct frame_reader *in)
{
    int64_t ms = frame_read_int(in);
    return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

const char *const *serve_read_texts(struct errand_job *job, struct frame_reader *in, size_t most,
                                    size_t *count)
{
    *count = frame_read_count(in, most);
    const char **texts = arena_zalloc(&job->attempt->arena, (*count + 1) * sizeof *texts);
    for (size_t i = 0; i < *count; i++)
        texts[i] = frame_read_text(in);
    return texts;
}

/* ---- The queue ---- */

bool serve_QUEUE_RATE(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    double per_second = frame_read_double(in), burst = frame_read_double(in);
    (void)out;
    if (!frame_is_read(in) || !isfinite(per_second) || !isfinite(burst) || per_second < 0)
        return false;
    errand_queue_rate(job, per_second, burst);
    return true;
}

bool serve_QUEUE_HOLD(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    int ms = serve_read_ms(in);
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_queue_hold(job, ms);
    return true;
}

bool serve_QUEUE_PAUSE(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    int ms = serve_read_ms(in);
    const char *why = serve_read_words(job, in);
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_queue_pause(job, ms, "%s", why);
    return true;
}

/* ---- Telling ---- */

bool serve_LOG(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    size_t level = frame_read_count(in, ERRAND_ERROR);
    const char *text = serve_read_words(job, in);
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_log(job, (enum errand_level)level, "%s", text);
    return true;
}

static bool serve_report(struct errand_job *job, struct frame_reader *in, struct buf *out,
                         bool (*text)(struct errand_job *, const char *, const char **),
                         bool (*value)(struct errand_job *, const json_t *, const char **))
{
    const char *json = frame_read_text(in), *error = NULL;
    if (!frame_is_read(in))
        return false;
    bool done = json ? text(job, json, &error) : value(job, NULL, &error);
    frame_int(out, done);
    frame_text(out, error);
    return true;
}

bool serve_PROGRESS(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    return serve_report(job, in, out, errand_progress_text, errand_progress);
}

bool serve_RESULT(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    return serve_report(job, in, out, errand_result_text, errand_result);
}

bool serve_FAILPOINT(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    const char *name = frame_read_present(in);
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_failpoint(job, name);
    return true;
}

bool serve_IS_CANCELLED(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    frame_int(out, errand_is_cancelled(job));
    return frame_is_read(in);
}

/* ---- Finishing ---- */

bool serve_ERROR_CLASS(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    const char *error_class = frame_read_text(in);
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_error_class(job, error_class);
    return true;
}

bool serve_DONE(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_done(job);
    return true;
}

static bool serve_finish(struct errand_job *job, struct frame_reader *in,
                         void (*finish)(struct errand_job *, const char *, ...))
{
    const char *text = serve_read_words(job, in);
    if (!frame_is_read(in))
        return false;
    finish(job, "%s", text);
    return true;
}

bool serve_FAIL(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    (void)out;
    return serve_finish(job, in, errand_fail);
}

bool serve_CANCELLED(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    (void)out;
    return serve_finish(job, in, errand_cancelled);
}

bool serve_UNKNOWN(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    (void)out;
    return serve_finish(job, in, errand_unknown);
}

bool serve_RETRY(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    int64_t delay_ms = frame_read_int(in);
    const char *text = serve_read_words(job, in);
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_retry(job, delay_ms, "%s", text);
    return true;
}

bool serve_SNOOZE(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    int64_t run_at_us = frame_read_int(in);
    int64_t last_us = errand_now_us(job) + DELAY_MAX_MS * 1000;
    const char *text = serve_read_words(job, in);
    (void)out;
    if (!frame_is_read(in))
        return false;
    run_at_us = run_at_us < 0 ? 0 : run_at_us > last_us ? last_us : run_at_us;
    errand_snooze(job, run_at_us, "%s", text);
    return true;
}
