#include "queue/joblog.h"

#include "base/log.h"
#include "base/mem.h"
#include "queue/completing.h"
#include "queue/dispatch.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
    JOBLOG_TIMEOUT_MS = 10000,
    JOBLOG_EVERY_US = 1000000,
    JOBLOG_UNIT_BYTES = 4 << 20, /* of one statement, about */
    JOBLOG_BYTES = 32 << 20      /* that wait, all in all: more are dropped */
};

/* What a line has beside its text, in the order of job_log_write's parameters. */
enum line_field {
    LINE_LANE,
    LINE_JOB,
    LINE_ATTEMPT,
    LINE_LEVEL,
    LINE_NUMBER, /* in the attempt */
    LINE_AT_US,
    LINE_DAYS, /* that it is kept */
    LINE_FIELDS
};

struct joblog_line {
    struct joblog_line *next;
    int64_t fields[LINE_FIELDS];
    size_t bytes; /* of memory */
    char text[];
};

static void joblog_on_timer(void *owner);

void joblog_init(struct runner *runner)
{
    const char *kept = settings_text(runner->settings, "errand", "job_log_level");
    enum log_level level = LOG_ERROR;
    struct joblog *joblog = &runner->joblog;
    runner->host.log_kept = log_level_parse(kept, &level) ? (int)level : LOG_ERROR + 1;
    joblog->last = &joblog->first;
    loop_timer_init(&joblog->timer, &runner->loop, joblog_on_timer, runner);
}

static void lines_free(struct joblog *joblog, struct joblog_line *lines)
{
    while (lines) {
        struct joblog_line *next = lines->next;
        joblog->bytes -= lines->bytes;
        free(lines);
        lines = next;
    }
}

void joblog_clear(struct runner *runner)
{
    lines_free(&runner->joblog, runner->joblog.first);
}

static struct runner *job_runner(const struct errand_job *job)
{
    return dispatch_runner(job->attempt);
}

static void joblog_schedule(struct runner *runner, int64_t after_us)
{
    struct joblog *joblog = &runner->joblog;
    if ((joblog->jobs || joblog->first) && !joblog->under_way)
        loop_timer_set_least(&joblog->timer, clock_mono_us() + after_us);
}

/* ---- What a job says ---- */

/* Within an attempt no line is older than the one before, whatever the reading of the clock. */
static int64_t job_line_at_us(struct errand_job *job)
{
    int64_t now_us = errand_now_us(job);
    job->log.at_us = now_us > job->log.at_us ? now_us : job->log.at_us;
    return job->log.at_us;
}

static void job_add_line(struct errand_job *job, int level, const char *text)
{
    struct joblog *joblog = &job_runner(job)->joblog;
    const struct lane *lane = job_entry(job)->lane;
    size_t bytes = sizeof(struct joblog_line) + strlen(text) + 1;
    struct joblog_line *line = mem_zalloc(bytes);
    line->fields[LINE_LANE] = lane->number;
    line->fields[LINE_JOB] = job->id;
    line->fields[LINE_ATTEMPT] = job->number;
    line->fields[LINE_LEVEL] = level;
    line->fields[LINE_NUMBER] = ++job->log.lines;
    line->fields[LINE_AT_US] = job_line_at_us(job);
    line->fields[LINE_DAYS] = lane->queue->history_days;
    line->bytes = bytes;
    memcpy(line->text, text, strlen(text) + 1);
    joblog->bytes += bytes;
    if (!job->log.first) {
        job->log.last = &job->log.first;
        DL_APPEND2(joblog->jobs, job, log.prev, log.next);
    }
    *job->log.last = line;
    job->log.last = &line->next;
}

static enum kind_keep job_keep(const struct errand_job *job)
{
    return kind_settings_of(&job_runner(job)->kind_settings, job->attempt->kind)->keep;
}

void joblog_add(struct errand_job *job, int level, const char *text)
{
    struct runner *runner = job_runner(job);
    if (job_keep(job) == KIND_KEEP_NONE)
        return;
    if (job->log.lines == ERRAND_LOG_LINES_MAX || runner->joblog.bytes >= JOBLOG_BYTES) {
        job->log.dropped++;
        return;
    }
    job_add_line(job, level, text);
    joblog_schedule(runner, JOBLOG_EVERY_US);
}

/* The job's lines, which then wait no longer with it. */
static struct joblog_line *job_take_lines(struct errand_job *job)
{
    struct joblog_line *lines = job->log.first;
    if (lines)
        DL_DELETE2(job_runner(job)->joblog.jobs, job, log.prev, log.next);
    job->log.first = NULL;
    return lines;
}

static void joblog_append(struct joblog *joblog, struct joblog_line *lines)
{
    *joblog->last = lines;
    while (*joblog->last)
        joblog->last = &(*joblog->last)->next;
}

void joblog_end(struct errand_job *job)
{
    struct joblog *joblog = &job_runner(job)->joblog;
    if (job->log.dropped) {
        char text[80];
        snprintf(text, sizeof text, "%d more lines of this attempt were not kept",
                 job->log.dropped);
        job_add_line(job, LOG_WARN, text);
    }
    struct joblog_line *lines = job_take_lines(job);
    if (job->outcome.code == OUTCOME_DONE && job_keep(job) != KIND_KEEP_ALL)
        lines_free(joblog, lines);
    else
        joblog_append(joblog, lines);
}

/* ---- Writing ---- */

/* The first of those that wait, as many as go at once. */
static struct joblog_line *joblog_take(struct joblog *joblog)
{
    struct joblog_line *taken = joblog->first, **at = &joblog->first;
    size_t bytes = 0;
    while (*at && bytes < JOBLOG_UNIT_BYTES) {
        bytes += (*at)->bytes;
        at = &(*at)->next;
    }
    struct joblog_line *rest = *at;
    if (!rest)
        joblog->last = &joblog->first;
    *at = NULL;
    joblog->first = rest;
    return taken;
}

static void lines_add(const struct joblog_line *lines, struct db_unit *unit)
{
    struct params params = {.count = 0};
    struct buf *buf;
    for (int field = 0; field < LINE_FIELDS; field++) {
        buf = params_open_array(&params);
        for (const struct joblog_line *line = lines; line; line = line->next)
            buf_array_int(buf, line->fields[field]);
        params_close_array(&params);
    }
    buf = params_open_array(&params);
    for (const struct joblog_line *line = lines; line; line = line->next)
        buf_array_text(buf, line->text);
    params_close_array(&params);
    params_add_to(&params, unit, QUEUE_SQL_JOB_LOG_WRITE, false);
    params_clear(&params);
}

struct joblog_line *joblog_join(struct runner *runner, struct db_unit *unit)
{
    struct joblog *joblog = &runner->joblog;
    if (!joblog->first || joblog->apart)
        return NULL;
    struct joblog_line *lines = joblog_take(joblog);
    lines_add(lines, unit);
    return lines;
}

/* Before those that wait. */
static void joblog_put_back(struct joblog *joblog, struct joblog_line *lines)
{
    struct joblog_line **last = &lines;
    while (*last)
        last = &(*last)->next;
    *last = joblog->first;
    if (!joblog->first)
        joblog->last = last;
    joblog->first = lines;
}

void joblog_on_written(struct runner *runner, struct joblog_line *lines, const struct err *err)
{
    struct joblog *joblog = &runner->joblog;
    if (err->code == ERR_NONE) {
        lines_free(joblog, lines);
    } else {
        joblog->apart = true;
        joblog_put_back(joblog, lines);
    }
    joblog_schedule(runner, JOBLOG_EVERY_US);
}

/* A unit of lines alone. */
struct joblog_writing {
    struct runner *runner;
    struct joblog_line *lines;
};

static void joblog_on_done(struct db_unit *unit, void *owner)
{
    const struct joblog_writing *writing = owner;
    struct runner *runner = writing->runner;
    struct joblog *joblog = &runner->joblog;
    const struct err *err = &unit->err;
    joblog->under_way = false;
    if (err->code != ERR_NONE)
        log_event(LOG_WARN, "keeping jobs' log lines failed", "error", err->text, NULL);
    if (err->code == ERR_NONE || err->code == ERR_PERMANENT || runner->phase >= RUNNER_STOPPING)
        lines_free(joblog, writing->lines);
    else
        joblog_put_back(joblog, writing->lines);
    joblog->apart = err->code != ERR_NONE;
    joblog_schedule(runner, joblog->first && !joblog->apart ? 0 : JOBLOG_EVERY_US);
    if (runner->phase == RUNNER_STOPPING)
        dispatch_schedule(runner);
}

void joblog_flush(struct runner *runner)
{
    struct joblog *joblog = &runner->joblog;
    if (joblog->under_way)
        return;
    while (joblog->jobs)
        joblog_append(joblog, job_take_lines(joblog->jobs));
    if (!joblog->first)
        return;
    struct db_unit *unit = db_unit_new(DB_PLAIN, joblog_on_done, NULL);
    struct joblog_writing *writing = arena_alloc(&unit->arena, sizeof *writing);
    *writing = (struct joblog_writing){runner, joblog_take(joblog)};
    unit->owner = writing;
    lines_add(writing->lines, unit);
    joblog->under_way = true;
    db_pool_submit(&runner->writes, unit, JOBLOG_TIMEOUT_MS);
}

static void joblog_on_timer(void *owner)
{
    joblog_flush(owner);
}

bool joblog_is_written(struct runner *runner)
{
    joblog_flush(runner);
    return !runner->joblog.under_way;
}
