/* One run of a handler: a coroutine with its jobs, what it waits for, and the outcome of each job.
 * Knows nothing of lanes; the queue starts it, is told of its end, and keeps it until the outcomes
 * are committed. */
#ifndef MODULE_ATTEMPT_H
#define MODULE_ATTEMPT_H

#include "base/arena.h"
#include "base/clock.h"
#include "db/pool.h"
#include "loop/child.h"
#include "loop/coro.h"
#include "loop/workers.h"
#include "module/registry.h"
#include "module/slice.h"
#include "module/watchdog.h"

enum outcome_code {
    OUTCOME_NONE, /* still running */
    OUTCOME_DONE,
    OUTCOME_CANCELLED,
    OUTCOME_UNKNOWN,
    OUTCOME_DEAD,
    OUTCOME_RETRY,
    OUTCOME_SNOOZE,
    OUTCOME_WAIT /* for a signal */
};

/* A statement that commits with the completion. */
struct effect {
    const struct errand_statement *statement;
    size_t count;
    const char **params;
    struct effect *next;
};

struct outcome {
    enum outcome_code code;
    int64_t delay_ms;        /* RETRY: negative means the kind's backoff */
    int64_t run_at_us;       /* SNOOZE */
    int64_t wait_until_us;   /* WAIT; INT64_MAX: for ever */
    const char *text;        /* why; NULL for DONE; of a WAIT the signal's name */
    const char *error_class; /* of a RETRY; NULL: none was named */
    const char *result;      /* JSON; NULL: none */
    size_t result_bytes;
    struct effect *effects, **effects_last;
};

/* The lines of a job's attempt that wait to be written: joblog.c's. */
struct joblog_of_job {
    struct joblog_line *first, **last;
    int lines, dropped;             /* in all */
    int64_t at_us;                  /* of the last one */
    struct errand_job *prev, *next; /* jobs with lines that wait */
};

/* A job as its handler sees it. */
struct errand_job {
    struct attempt *attempt;
    int64_t id, run_at_us;
    int number, max_attempts; /* number: of this attempt, from 1 */
    const char *queue, *args_text;
    const char *trace, *trace_span; /* NULL: none; not needed up to now */
    json_t *args;
    bool args_parsed, cancelled;
    bool has_steps;           /* it has asked for one */
    bool has_signals;         /* the same */
    struct joblog_of_job log; /* the queue's */
    char *progress;           /* JSON, as it was told last; NULL: none; owned */
    bool progress_is_new;     /* and not written yet */
    struct outcome outcome;
    const char *mistake;     /* what it was to commit and cannot; NULL: nothing */
    void *owner;             /* the queue's */
    struct errand_job *next; /* the queue's lists */
    bool alone;              /* the queue's: commits in a transaction of its own */
    bool sent_before;        /* the queue's: its completion was, and the answer lost */
    int losses;              /* the queue's: how often, by itself */
    bool uncounted;          /* the queue's: its outcome changed nothing */
};

struct attempt_host;
struct cleanup;
struct db_unit;
struct http;
struct http_call;

/* What the queue does for a handler. */
struct attempt_queue_calls {
    void (*rate)(void *queue, double per_second, double burst);
    void (*hold)(void *queue, int64_t ms);
    void (*pause)(void *queue, int64_t ms, const char *reason);
    void (*progress)(void *queue); /* a job of the queue has told something new */
    /* A line of the job's log, valid UTF-8 without NUL; level as of errand_log. */
    void (*log)(struct errand_job *job, int level, const char *text);
    /* Adds the statement that asks for a step (result NULL) or writes it; of its one row the first
     * column says whether the job is the attempt's own, the second one is the step's result, or
     * whether it stands. */
    void (*step)(struct errand_job *job, struct db_unit *unit, const char *name,
                 const char *result);
    /* Adds the statements that ask for a signal: the first one's row says that the job is the
     * attempt's own; the second one's its payload or NULL, whether the wait for it is over without,
     * and until when it is to last in us (NULL: for ever). timeout_ms negative: for ever. */
    void (*signal)(struct errand_job *job, struct db_unit *unit, const char *name,
                   int64_t timeout_ms);
    /* True: granted at once. False: attempt_wake will come. */
    bool (*rate_wait)(void *queue, struct attempt *attempt);
    void (*rate_wait_cancel)(void *queue, struct attempt *attempt);
};

struct attempt_host {
    struct loop *loop;
    struct db_pool *db, *sql; /* of handlers; of kinds that are SQL, whose statements may be long */
    struct http *http;
    struct coro_pool coros;
    struct children children;
    struct watchdog watchdog;
    struct workers workers;
    const struct clock_offset *clock;
    const struct settings *settings;
    const struct attempt_queue_calls *queue_calls;
    /* Every job has an outcome and the handler has returned. */
    void (*on_finished)(struct attempt *attempt);
    /* What a handler's program came to; NULL: nobody looks. */
    void (*on_child)(struct errand_job *job, const struct errand_child *child,
                     const struct errand_child_result *result);
    /* Asked before a handler that waited is resumed; false: it is cut off. NULL: always true. */
    bool (*may_go_on)(const struct attempt *attempt);
    struct attempt *running; /* a list */
    int log_kept;            /* the least level of lines that the queue wants */
};

enum attempt_wait {
    WAIT_NONE,
    WAIT_QUERY,
    WAIT_HTTP,
    WAIT_TIME,
    WAIT_RATE,
    WAIT_CHILD,
    WAIT_THREAD,
    WAIT_STREAM,
    WAIT_HOST,
    WAIT_OTHER /* for what call_off ends, which wakes it */
};

struct attempt {
    struct attempt_host *host;
    const struct kind *kind; /* held: the version that it started with */
    void *queue;             /* the queue's */
    struct arena arena;
    struct coro *coro;
    struct loop_timer timer, sleep;
    enum attempt_wait waiting;
    struct http_call *call;             /* of the last errand_http; NULL: none */
    const struct http_call *head;       /* whose head errand_http_header reads; NULL: none */
    struct errand_http_stream *streams; /* that are open */
    int64_t streams_opened;
    struct child *child;                       /* that runs; NULL: none */
    struct job_lines *child_lines;             /* of its stderr, for the log; NULL: not wanted */
    struct db_unit *unit;                      /* that it waits for */
    struct worker_task *task;                  /* the same */
    void (*call_off)(struct attempt *attempt); /* of WAIT_OTHER: ends it; at once when unwinding */
    void *call_off_owner;                      /* for it */
    struct attempt_rows *rows;
    enum errand_sql_class sql_class;
    const struct err *err; /* of the last statement; NULL: none */
    int64_t started_us;    /* database's clock */
    int timeout_ms;
    struct cleanup *cleanups;
    struct slice slice;
    bool cancelled; /* it is asked to end: time is up, the job was cancelled, or errand stops */
    bool unwinding; /* its handler does not come back from a call that waits, or may */
    bool timed_out;
    bool cut;           /* cancelled through no fault of its own: it does not count */
    bool cleaning;      /* the handler is over, and its cleanup functions run */
    bool returned;      /* they, too: its stack is given back */
    bool is_isolated;   /* its handler is in another process, and its mistakes end nothing here */
    int child_grace_ms; /* at most, whatever its handler said */
    struct attempt *running_next, **running_at; /* host's list */
    bool is_suspect;                            /* the queue's: it may be what ends runners */
    bool promised;                              /* the queue's: a token of its rate */
    struct attempt *next;                       /* the queue's lists */
    size_t unsettled; /* the queue's: jobs whose outcome is not committed */
    size_t count;
    struct errand_job jobs[];
};

/* Completes a host whose other members the caller has set: HTTP client, coroutines, children, so
 * many threads for heavy work. */
void attempt_host_init(struct attempt_host *host, size_t threads);
void attempt_host_clear(struct attempt_host *host); /* nothing runs */
/* The process is about to end under handlers that run: no child of theirs stays. */
void attempt_host_abandon(struct attempt_host *host);

/* An attempt with room for count jobs, to be filled in by the caller (id, number, args_text ...;
 * args_text lives as long as the attempt). */
struct attempt *attempt_new(struct attempt_host *host, const struct kind *kind, size_t count,
                            void *queue);
/* Runs the handler until it first waits; started_us is set. on_finished may come inside. */
void attempt_start(struct attempt *attempt, int timeout_ms);
/* Ends it: what it waits for ends at once, and its handler there, or at its next call that may
 * wait; that of a kind with cancel_grace_ms is asked first (errand_is_cancelled). Jobs that it has
 * not finished have the outcome CANCELLED, without what it has added. on_finished may come inside.
 */
void attempt_cancel(struct attempt *attempt);
/* The same, and it does not count as an attempt; a program that it runs has so long after SIGTERM.
 */
void attempt_cut(struct attempt *attempt, int child_grace_ms);
/* From inside its coroutine: it is to end, as by attempt_cancel. */
void attempt_ask(struct attempt *attempt);
/* Cuts all that run. */
void attempt_host_cut(struct attempt_host *host, int child_grace_ms);
/* What it waited for has come. */
void attempt_wake(struct attempt *attempt);
void attempt_free(struct attempt *attempt); /* after on_finished */

/* For the job API, inside the coroutine: waits until attempt_wake. Does not come back when the
 * attempt is unwound, but from WAIT_HOST. */
void attempt_sleep(struct attempt *attempt, enum attempt_wait what);
/* errand_query and errand_effect with a statement of any table. */
bool job_query(struct errand_job *job, const struct errand_statement *statement, size_t count,
               const char *const *params, const struct errand_rows **rows, const char **error);
/* errand_log of bytes, which need be no text; from anywhere on the loop, while the job runs. */
void job_tell(struct errand_job *job, enum errand_level level, const char *text, size_t length);
/* A line of errand's own for the job's log, which the runner's has in another form. */
void job_keep_line(struct errand_job *job, enum errand_level level, const char *line);
/* errand_progress_text, from there, too. False: fault, a sentence's end, says what is wrong. */
bool job_show_progress(struct errand_job *job, const char *json, const char **fault);
void job_add_effect(struct errand_job *job, const struct errand_statement *statement, size_t count,
                    const char *const *params);
/* Sends the unit, whose on_done wakes the attempt, and waits for it. */
void attempt_query(struct attempt *attempt, struct db_unit *unit, int timeout_ms);
/* For a call that may turn out not to wait: does not come back when the attempt is unwound. */
void attempt_check(struct attempt *attempt);

/* What came of a call, in the attempt's arena; of none (NULL): that the job was cancelled. */
void attempt_fill_response(struct attempt *attempt, const struct http_call *call,
                           struct errand_response *response);
/* job_stream.c: ends the exchanges of all streams, whoever waits for one; and the streams. */
void streams_end_all(struct attempt *attempt);
void streams_free_all(struct attempt *attempt);
/* A name for an open stream that is no pointer: its number in the attempt, from 1. NULL: none of
 * that number is open. */
int64_t stream_number(const struct errand_http_stream *stream);
struct errand_http_stream *stream_of(const struct attempt *attempt, int64_t number);
size_t streams_count(const struct attempt *attempt);

#endif
