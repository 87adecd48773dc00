/* The calls of errand/errand.h that tell the runner something and wait for nothing. */
#include "host/host.h"

#include <stdio.h>

void errand_effect(struct errand_job *job, int statement, size_t count, const char *const *params)
{
    call_begin(job, WIRE_EFFECT);
    frame_int(&host.out, statement);
    frame_texts(&host.out, count, params);
    call_tell();
}

void errand_queue_rate(struct errand_job *job, double per_second, double burst)
{
    call_begin(job, WIRE_QUEUE_RATE);
    frame_double(&host.out, per_second);
    frame_double(&host.out, burst);
    call_tell();
}

void errand_queue_hold(struct errand_job *job, int64_t ms)
{
    call_begin(job, WIRE_QUEUE_HOLD);
    frame_int(&host.out, ms);
    call_tell();
}

/* Ends a frame whose last field is a formatted text. */
static __attribute__((format(printf, 1, 0))) void tell_text(const char *format, va_list args)
{
    frame_text(&host.out, arena_vprintf(&host.arena, format, args));
    call_tell();
}

void errand_queue_pause(struct errand_job *job, int64_t ms, const char *format, ...)
{
    va_list args;
    call_begin(job, WIRE_QUEUE_PAUSE);
    frame_int(&host.out, ms);
    va_start(args, format);
    tell_text(format, args);
    va_end(args);
}

void errand_log(struct errand_job *job, enum errand_level level, const char *format, ...)
{
    char text[ERRAND_LOG_LINE_MAX + 2]; /* so that the runner sees that it cuts */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    call_begin(job, WIRE_LOG);
    frame_int(&host.out, level);
    frame_text(&host.out, text);
    call_tell();
}

void errand_error_class(struct errand_job *job, const char *error_class)
{
    call_begin(job, WIRE_ERROR_CLASS);
    frame_text(&host.out, error_class);
    call_tell();
}

/* ---- Finishing ---- */

void errand_done(struct errand_job *job)
{
    call_begin(job, WIRE_DONE);
    call_tell();
}

void errand_fail(struct errand_job *job, const char *format, ...)
{
    va_list args;
    call_begin(job, WIRE_FAIL);
    va_start(args, format);
    tell_text(format, args);
    va_end(args);
}

void errand_retry(struct errand_job *job, int64_t delay_ms, const char *format, ...)
{
    va_list args;
    call_begin(job, WIRE_RETRY);
    frame_int(&host.out, delay_ms);
    va_start(args, format);
    tell_text(format, args);
    va_end(args);
}

void errand_snooze(struct errand_job *job, int64_t run_at_us, const char *format, ...)
{
    va_list args;
    call_begin(job, WIRE_SNOOZE);
    frame_int(&host.out, run_at_us);
    va_start(args, format);
    tell_text(format, args);
    va_end(args);
}

void errand_cancelled(struct errand_job *job, const char *format, ...)
{
    va_list args;
    call_begin(job, WIRE_CANCELLED);
    va_start(args, format);
    tell_text(format, args);
    va_end(args);
}

void errand_unknown(struct errand_job *job, const char *format, ...)
{
    va_list args;
    call_begin(job, WIRE_UNKNOWN);
    va_start(args, format);
    tell_text(format, args);
    va_end(args);
}
