#include "host/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

struct host host;

const char *host_setting(const char *name)
{
    for (size_t i = 0; i < host.setting_count; i++)
        if (strcmp(host.settings[i].name, name) == 0)
            return host.settings[i].value;
    return NULL;
}

/* ---- The channel ---- */

void host_begin(unsigned what)
{
    buf_reset(&host.out);
    host.begun = frame_begin(&host.out, what);
}

void host_send(void)
{
    if (!frame_end(&host.out, host.begun)) {
        fprintf(stderr, "errand: a call hands over more than %d bytes\n", FRAME_MAX_BYTES);
        abort();
    }
    for (size_t sent = 0; sent < host.out.length;) {
        ssize_t length =
            send(HOST_CHANNEL, host.out.data + sent, host.out.length - sent, MSG_NOSIGNAL);
        if (length < 0 && errno != EINTR)
            _exit(1);
        sent += length > 0 ? (size_t)length : 0;
    }
}

static void host_read(void *data, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t length = read(HOST_CHANNEL, (char *)data + got, size - got);
        if (length == 0 || (length < 0 && errno != EINTR))
            _exit(1);
        got += length > 0 ? (size_t)length : 0;
    }
}

struct frame_reader host_receive(unsigned *what)
{
    struct frame_reader reader;
    uint32_t length;
    host_read(&length, sizeof length);
    char *data = arena_alloc(&host.arena, length);
    host_read(data, length);
    *what = frame_open(&reader, data, length);
    return reader;
}

void host_refuse(const char *text)
{
    host_begin(WIRE_REFUSED);
    frame_text(&host.out, text);
    host_send();
}

/* ---- Calls ---- */

void call_begin(const struct errand_job *job, enum wire_call call)
{
    host_begin(call);
    frame_int(&host.out, job->number);
}

void call_tell(void)
{
    host_send();
}

struct frame_reader call_ask(void)
{
    unsigned what;
    host_send();
    struct frame_reader reader = host_receive(&what);
    enum wire_end end = (enum wire_end)frame_read_int(&reader);
    if (end == WIRE_UNWIND)
        host_end();
    if (end == WIRE_IS_ASKED)
        host.cancelled = 1;
    return reader;
}

bool call_ask_done(struct frame_reader *reader, const char **error)
{
    *reader = call_ask();
    bool done = frame_read_int(reader) != 0;
    const char *text = frame_read_text(reader);
    if (!done && error)
        *error = text;
    return done;
}

/* ---- The start hook ---- */

struct errand_host {
    bool tells_rates;
    char error[256];
};

const char *errand_host_setting(struct errand_host *start, const char *name)
{
    (void)start;
    return host_setting(name);
}

void errand_host_queue_rate(struct errand_host *start, const char *queue, double per_second,
                            double burst)
{
    if (!start->tells_rates)
        return;
    host_begin(WIRE_RATE);
    frame_text(&host.out, queue);
    frame_double(&host.out, per_second);
    frame_double(&host.out, burst);
    host_send();
}

void errand_host_error(struct errand_host *start, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(start->error, sizeof start->error, format, args);
    va_end(args);
}

/* Its rates count once, when the runner starts: a job may have set others since. */
static bool host_call_start(bool tells_rates)
{
    struct errand_host start = {.tells_rates = tells_rates};
    if (!host.module->start || host.module->start(&start))
        return true;
    host_refuse(start.error[0] ? start.error : "refused to start");
    return false;
}

void host_end(void)
{
    host_cleanup();
    if (host.module->stop)
        host.module->stop();
    fflush(NULL);
    host_begin(WIRE_END);
    host_send();
    _exit(0);
}

/* ---- Work ---- */

static void host_read_settings(struct frame_reader *reader)
{
    host.setting_count = frame_read_count(reader, SIZE_MAX / sizeof *host.settings);
    host.settings = arena_alloc(&host.arena, (host.setting_count + 1) * sizeof *host.settings);
    for (size_t i = 0; i < host.setting_count; i++) {
        host.settings[i].name = frame_read_text(reader);
        host.settings[i].value = frame_read_text(reader);
    }
}

static struct errand_job *host_read_job(struct frame_reader *reader, const char *kind)
{
    struct errand_job *job = arena_zalloc(&host.arena, sizeof *job);
    job->kind = kind;
    job->id = frame_read_int(reader);
    job->run_at_us = frame_read_int(reader);
    job->attempt = (int)frame_read_int(reader);
    job->max_attempts = (int)frame_read_int(reader);
    job->queue = frame_read_text(reader);
    job->args_text = frame_read_text(reader);
    job->trace = frame_read_text(reader);
    job->trace_span = frame_read_text(reader);
    return job;
}

void host_start(struct frame_reader *reader)
{
    host_read_settings(reader);
    if (host_call_start(true))
        host_end();
}

void host_work(struct frame_reader *reader)
{
    host_read_settings(reader);
    host.clock_offset_us = frame_read_int(reader);
    const struct errand_kind *kind =
        &host.module->kinds[frame_read_count(reader, host.module->kind_count - 1)];
    host.job_count = frame_read_count(reader, SIZE_MAX / sizeof *host.jobs);
    host.jobs = arena_alloc(&host.arena, (host.job_count + 1) * sizeof *host.jobs);
    for (size_t i = 0; i < host.job_count; i++) {
        host.jobs[i] = host_read_job(reader, kind->name);
        host.jobs[i]->number = (int64_t)i;
    }
    if (!host_call_start(false))
        return;
    if (kind->run)
        kind->run(host.jobs[0]);
    else
        kind->run_batch(host.jobs, host.job_count);
    host_end();
}
