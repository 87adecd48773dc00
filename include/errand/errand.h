/* The plug-in ABI of errand: everything that a job in C may use of it. What stands alone has a
 * header of its own, which this one includes: http.h, child.h (programs), step.h, signal.h and
 * enqueue.h (further jobs).
 *
 * A plug-in serves one or more kinds. For each attempt of a job errand calls the kind's handler,
 * which is straight-line code on a small stack of its own (64 KiB: no large arrays): a call that
 * waits (errand_query, errand_http, errand_child, errand_sleep, errand_rate_wait, errand_thread)
 * lets other jobs run meanwhile. A handler ends by exactly one finish call for its job:
 * errand_done, errand_fail, errand_retry, errand_snooze, errand_cancelled or errand_unknown; one
 * that returns without any has done its job. It may run more than once for a job; what it adds with
 * errand_effect commits in the same transaction as the job's completion, so it happens once. When
 * the attempt is to end (its time is up, the job was cancelled, errand stops), the handler does not
 * come back from a call that waits: see errand_cleanup.
 *
 * A mistake is named in the log ("mistake of a handler": the call, what is wrong, kind and job),
 * and the call does nothing, or returns false: a second finish, a call that waits or adds something
 * behind the finish, a statement that the module does not have, another number of parameters, a job
 * that is not the handler's own or is over, a call from another thread. A debug build of errand
 * ends there. A handler that keeps errand's only thread for 100 ms between two calls that wait is
 * named, too, and one that does not come back for 2 s: nothing can end that one from within.
 *
 * All text is UTF-8. Times are microseconds since 1970 on the database's clock. Nothing here may be
 * called from another thread. The ABI only grows: structs begin with their size, and new members
 * come at the end. errand_setting, errand_statement, errand_header and errand_response have none,
 * and stay as they are.
 */
#ifndef ERRAND_ERRAND_H
#define ERRAND_ERRAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERRAND_ABI 1

#if defined(__GNUC__)
#define ERRAND_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define ERRAND_EXPORT __attribute__((visibility("default")))
#else
#define ERRAND_PRINTF(text, first)
#define ERRAND_EXPORT
#endif

/* A plug-in NAME exports one symbol, its description:
 *     extern const struct errand_module NAME_module;
 *     ERRAND_EXPORT const struct errand_module NAME_module = {.abi = ERRAND_ABI, ...};
 * errand loads NAME.so from the directory of its setting `jobs` and looks for NAME_module there;
 * .name is NAME, [a-z][a-z0-9_]*. A plug-in that is a file runs in a process of its own for each
 * attempt, unless its operator sets isolation = none: no variable outlives an attempt there. The
 * same source can be linked into errand. A plug-in that was built with an older header of the same
 * ABI has smaller structs: what they do not have is zero. */

/* What errand exports to plug-ins: all functions of this header and of those that it includes. */
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

struct errand_job;

/* ---- What a plug-in says of itself ---- */

enum errand_claim {
    ERRAND_CLAIM_LAZY, /* written down as running only after about a second */
    ERRAND_CLAIM_FIRST /* written down, and the attempt counted, before the handler starts: for
                          effects outside the database */
};

enum errand_retry_policy {
    ERRAND_RETRY_EXPONENTIAL, /* delays_ms {first, last}: a random time below a bound that begins at
                                 first and doubles up to last; without any {2 s, 1 h} */
    ERRAND_RETRY_FIXED,       /* {delay} */
    ERRAND_RETRY_LIST, /* {after attempt 1, after attempt 2, ...}: the last again and again */
    ERRAND_RETRY_NEVER /* none: dead at once */
};

/* What follows a failed attempt of a class of errors. Classes are what handlers name with
 * errand_error_class; and of errand's own 'timeout', the attempt's time was up, 'crashed', the
 * process that the plug-in ran in ended, and 'lost', its runner ended (without a line of its own:
 * again at once, whoever takes it over). Operators set lines of their own beside these
 * (errand.kind_retry_set). */
struct errand_retry {
    size_t size;             /* sizeof(struct errand_retry) */
    const char *error_class; /* [a-z0-9_.-], at most 63 bytes; NULL or "": all that have no line */
    enum errand_retry_policy policy;
    const int64_t *delays_ms; /* each 0 to 365 days */
    size_t delay_count;       /* at most 100 */
    int max_attempts;         /* 1 to 1000, in place of the job's; 0: the job's */
    int jitter_percent; /* of FIXED and LIST: each delay is longer by up to so much, at random;
                           0 to 100 */
};

/* One kind. Zero means the default where one is named. */
struct errand_kind {
    size_t size;       /* sizeof(struct errand_kind) */
    const char *name;  /* "email.send": [a-z0-9_.-], at most 63 bytes */
    const char *queue; /* where enqueue puts it when the caller names none; default "default" */
    enum errand_claim claim;
    int max_attempts; /* 1 to 1000, default 20 */
    int timeout_ms;   /* of one attempt; default 60,000, at most a day */
    int queue_lanes;  /* of that queue when a runner has to make it, 1 to 64; default 8; 1 where
                         order or rate is one for all */
    int batch_max;    /* how many due jobs run_batch takes at once, 1 to 1000; default 1 */

    /* Exactly one of the two. run_batch gets jobs that are due together; they share one stack, one
     * arena and one timeout (any of them may be passed to a call that waits), and each is finished
     * on its own. */
    void (*run)(struct errand_job *job);
    void (*run_batch)(struct errand_job *const *jobs, size_t count);

    const struct errand_retry *retries; /* at most 100 classes; none: exponential, 2 s to 1 h */
    size_t retry_count;
    bool takes_no_token; /* its starts do not count against the queue's rate */
    int cancel_grace_ms; /* for a handler that ends its attempt itself when it is to end: calls that
                            wait return for so long (at most a minute, and 2 s of errand's own end),
                            then it does not come back from them, either; default 0 */
};

/* One named statement of the plug-in's queries.sql; CMake's errand_sql() generates the table and an
 * enum. */
struct errand_statement {
    const char *name;
    const char *text;
};

enum errand_setting_type {
    ERRAND_SETTING_TEXT,
    ERRAND_SETTING_INTEGER,
    ERRAND_SETTING_BOOLEAN,
    ERRAND_SETTING_SECRET
};

/* A setting `name` of module `email` is [email] name = ... in the file and ERRAND_EMAIL_NAME in the
 * environment. */
struct errand_setting {
    const char *name;
    enum errand_setting_type type;
    const char *initial; /* default; NULL: none */
    const char
        *environment;   /* another variable that is read when the first is not set; NULL: none */
    long long min, max; /* of an integer */
    const char *help;   /* one line, with unit */
};

struct errand_host;

struct errand_module {
    uint32_t abi;  /* ERRAND_ABI */
    uint32_t size; /* sizeof(struct errand_module) */
    const char *name;
    const char *version;
    const struct errand_kind *kinds;
    size_t kind_count;
    const struct errand_setting *settings;
    size_t setting_count;
    const struct errand_statement *statements;
    size_t statement_count;

    /* Optional. Called once before the first job; false with errand_host_error() keeps errand from
     * starting. */
    bool (*start)(struct errand_host *host);
    void (*stop)(void);
};

/* Within start() only: a setting's text (NULL when unset); the rate of a queue until a job sets it
 * (see errand_queue_rate); the reason for a refusal. */
const char *errand_host_setting(struct errand_host *host, const char *name);
void errand_host_queue_rate(struct errand_host *host, const char *queue, double per_second,
                            double burst);
void errand_host_error(struct errand_host *host, const char *format, ...) ERRAND_PRINTF(2, 3);

/* ---- The job ---- */

int64_t errand_id(const struct errand_job *job);
const char *errand_kind_name(const struct errand_job *job);
const char *errand_queue_name(const struct errand_job *job);
int errand_attempt(const struct errand_job *job); /* this one: 1, 2, ... */
int errand_max_attempts(const struct errand_job *job);
int64_t errand_run_at_us(const struct errand_job *job);
int64_t errand_now_us(const struct errand_job *job);        /* database's clock */
const char *errand_args_text(const struct errand_job *job); /* PostgreSQL's own text of the jsonb */
/* The args parsed, borrowed, for the attempt's life; NULL when jansson cannot hold them (an integer
 * past 64 bits, \u0000, more than 32 levels): then the text is the only form. */
const json_t *errand_args(struct errand_job *job);
/* Somebody asked for the job to end, or its time is up, or errand is stopping: finish soon. A
 * handler that waits sees it only where its kind has a cancel_grace_ms, or in a batch, of which
 * other jobs are still wanted. */
bool errand_is_cancelled(const struct errand_job *job);

/* ---- Memory, freed after the attempt ---- */

void *errand_alloc(struct errand_job *job, size_t size); /* never NULL, zeroed */
char *errand_strdup(struct errand_job *job, const char *text);
char *errand_printf(struct errand_job *job, const char *format, ...) ERRAND_PRINTF(2, 3);

/* ---- Giving back ----
 *
 * When the attempt is to end, the handler ends where it waits, or at its next call that may wait:
 * it does not come back. What it waits for is ended, but for a statement that was sent: its outcome
 * matters, so its answer comes first. Jobs that it has not finished are tried again, put back or
 * cancelled, as the reason has it; what it added to them (effects, result) is dropped. So what it
 * holds beside errand's own memory and rows, it must name. */

/* function(context) is called when the attempt ends, however it ends: behind the handler's return,
 * or in place of it; the last one first. It may not wait, and not finish a job. context must live
 * until then (errand_alloc, malloc: not on the handler's stack):
 *     char *text = json_dumps(value, 0);
 *     errand_cleanup(job, free, text); */
void errand_cleanup(struct errand_job *job, void (*function)(void *context), void *context);
/* Calls the last one that was registered with these two, and forgets it; nothing when there is
 * none. */
void errand_cleanup_now(struct errand_job *job, void (*function)(void *context), void *context);

/* ---- The database ---- */

struct errand_rows; /* until the attempt ends */

enum errand_sql_class {
    ERRAND_SQL_OK,
    ERRAND_SQL_TEMPORARY, /* connection, deadlock, resources: retry */
    ERRAND_SQL_PERMANENT  /* the statement or its data is wrong */
};

/* Runs statement number `statement` of the module's table in a transaction of its own and waits for
 * it (at most 30 s). params: count texts, NULL is SQL NULL. False: *error (borrowed, until the
 * attempt ends) says why. When the connection was lost in between, the statement may have been
 * done. */
bool errand_query(struct errand_job *job, int statement, size_t count, const char *const *params,
                  const struct errand_rows **rows, const char **error);
enum errand_sql_class
errand_query_class(const struct errand_job *job); /* of the last errand_query */
size_t errand_rows_count(const struct errand_rows *rows);
const char *errand_rows_text(const struct errand_rows *rows, size_t row,
                             size_t column); /* NULL for NULL */
size_t errand_rows_length(const struct errand_rows *rows, size_t row, size_t column);

/* Adds a statement to what commits with the job's completion, in the order of the calls; params are
 * copied. A statement that fails then undoes the completion, and the attempt counts as failed with
 * its message; so do effects that take longer than 10 s together, because others wait for them. One
 * that the module does not have makes the job a dead letter. */
void errand_effect(struct errand_job *job, int statement, size_t count, const char *const *params);

/* ---- Parameters and values in other forms ---- */

/* Texts for the parameters of errand_query and errand_effect, until the attempt ends. The statement
 * casts them: $1::text[], $2::bytea, $3::jsonb. */
const char *errand_int_text(struct errand_job *job, int64_t value);
const char *errand_time_text(struct errand_job *job, int64_t at_us); /* timestamptz */
/* An array of any type whose elements are given as texts, quoted as they need it; NULL is NULL. */
const char *errand_array_text(struct errand_job *job, size_t count, const char *const *values);
const char *errand_array_int(struct errand_job *job, size_t count, const int64_t *values);
const char *errand_bytea_text(struct errand_job *job, const void *bytes, size_t length);
/* NULL: no value, or one of more than 32 levels. */
const char *errand_json_text(struct errand_job *job, const json_t *value);

/* What stands in a row, in the type that it has. NULL, and what is not of the type, is 0 or false:
 * errand_rows_text tells NULL apart. */
int64_t errand_rows_int(const struct errand_rows *rows, size_t row, size_t column);
double errand_rows_double(const struct errand_rows *rows, size_t row, size_t column);
bool errand_rows_bool(const struct errand_rows *rows, size_t row, size_t column);
/* json or jsonb, borrowed, until the attempt ends; NULL for SQL NULL, for what is not JSON, and for
 * what jansson cannot hold (see errand_args). */
const json_t *errand_rows_json(const struct errand_rows *rows, size_t row, size_t column);
/* bytea, until the attempt ends, with a NUL behind it; NULL for SQL NULL. */
const void *errand_rows_bytes(const struct errand_rows *rows, size_t row, size_t column,
                              size_t *length);

/* ---- Trace context ---- */

/* The W3C traceparent that the job was enqueued with; NULL: none. */
const char *errand_trace(const struct errand_job *job);
/* To be handed on: the same trace, under a span of this attempt's own (the same one each time);
 * NULL as above. errand_http and errand_http_open send it as the header traceparent unless the
 * request has one, errand_child puts it into the environment as TRACEPARENT unless env has one, and
 * errand_enqueue gives it to the new job. */
const char *errand_trace_span(struct errand_job *job);

/* ---- Heavy work ---- */

struct errand_thread;

/* Runs work(thread, context) on a thread of a pool (setting `threads`; more work waits its turn)
 * and waits for its return: for what computes for long, or blocks. context, and what it points to,
 * is the work's until then; it may call nothing of errand but errand_thread_is_cancelled. False,
 * and it did not run: no thread could be started, or the job is to end; *error says which. A thread
 * cannot be ended from outside: when the attempt is to end, work that has begun keeps the attempt,
 * its slot and its memory until it returns, and the log names it every few seconds. So work that
 * takes long looks at errand_thread_is_cancelled, and returns. */
bool errand_thread(struct errand_job *job,
                   void (*work)(struct errand_thread *thread, void *context), void *context,
                   const char **error);
bool errand_thread_is_cancelled(const struct errand_thread *thread);

/* ---- Time and the queue ---- */

void errand_sleep(struct errand_job *job, int ms);
/* A queue may have a rate of starts (of a job, or of a batch). Set it from what a provider allows:
 * per_second 0 lifts it; burst at least 1. Holds in this runner until it ends or the next call. */
void errand_queue_rate(struct errand_job *job, double per_second, double burst);
/* No start in this queue for so long. */
void errand_queue_hold(struct errand_job *job, int64_t ms);
/* Waits for the queue's rate, as a start would: for the second and further requests of one attempt.
 */
void errand_rate_wait(struct errand_job *job);
/* Pauses the queue with a reason that operators see, for so long (0: until somebody resumes it). */
void errand_queue_pause(struct errand_job *job, int64_t ms, const char *format, ...)
    ERRAND_PRINTF(3, 4);

/* ---- Telling ---- */

enum errand_level { ERRAND_DEBUG, ERRAND_INFO, ERRAND_WARN, ERRAND_ERROR };
/* Limits of errand_log: bytes of a line, behind which it is cut; lines of an attempt that are kept,
 * behind which they are counted. */
enum { ERRAND_LOG_LINE_MAX = 2048, ERRAND_LOG_LINES_MAX = 200 };
/* A line of the runner's log, and of the job's own from the level job_log_level on: operators see
 * it (errand.job_logs), a second later at most, for as long as the queue's history is kept, however
 * the attempt ends. Secrets of settings are blanked; what is no UTF-8 becomes U+FFFD. */
void errand_log(struct errand_job *job, enum errand_level level, const char *format, ...)
    ERRAND_PRINTF(3, 4);
/* How far the job is: any JSON, replaces what was told before. Operators see it while the job runs
 * (a job that has not run for long is written down for it); it is written at most once a second.
 * The text form is checked as the other is. False: *error (NULL: not wanted; borrowed until the
 * attempt ends) says what is wrong with it: no JSON, an integer past 64 bits, \u0000, more than 32
 * levels, more than 64 KiB. The log says so too. */
enum { ERRAND_PROGRESS_MAX = 65536, ERRAND_RESULT_MAX = 1048576 };
bool errand_progress(struct errand_job *job, const json_t *progress, const char **error);
bool errand_progress_text(struct errand_job *job, const char *json, const char **error);
/* What came of it: stands in errand.history from the moment the job is done (or ends otherwise).
 * The last one counts; an attempt that is tried again leaves none. False as above, at most 1 MiB.
 */
bool errand_result(struct errand_job *job, const json_t *result, const char **error);
bool errand_result_text(struct errand_job *job, const char *json, const char **error);
const char *errand_setting(struct errand_job *job, const char *name); /* text, NULL when unset */
/* In debug builds, kills the process here when ERRAND_FAILPOINT names this point. */
void errand_failpoint(struct errand_job *job, const char *name);

/* ---- Finishing ---- */

void errand_done(struct errand_job *job);
/* Failed for good: the job becomes a dead letter. */
void errand_fail(struct errand_job *job, const char *format, ...) ERRAND_PRINTF(2, 3);
/* This attempt failed; again after delay_ms (at most ten years), or as the kind's policy for the
 * class of the error says when delay_ms is negative; after max_attempts it is a dead letter. */
void errand_retry(struct errand_job *job, int64_t delay_ms, const char *format, ...)
    ERRAND_PRINTF(3, 4);
/* The class of the error of the errand_retry that follows (see struct errand_retry): [a-z0-9_.-],
 * at most 63 bytes. */
void errand_error_class(struct errand_job *job, const char *error_class);
/* Again at run_at_us; not a failed attempt. */
void errand_snooze(struct errand_job *job, int64_t run_at_us, const char *format, ...)
    ERRAND_PRINTF(3, 4);
/* The work is no longer wanted. */
void errand_cancelled(struct errand_job *job, const char *format, ...) ERRAND_PRINTF(2, 3);
/* An outside effect may or may not have happened, and nobody can know: ends the job as unknown. */
void errand_unknown(struct errand_job *job, const char *format, ...) ERRAND_PRINTF(2, 3);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#include <errand/child.h>
#include <errand/enqueue.h>
#include <errand/http.h>
#include <errand/signal.h>
#include <errand/step.h>

#endif
