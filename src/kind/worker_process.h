/* One process of a worker kind: it is given jobs as lines on its stdin and answers on its stdout;
 * several may be with it at once.
 *
 * A process ends in one of these ways. What its jobs come to:
 *     by itself             they have failed: WORKER_DIED
 *     silent for too long   the same: WORKER_SILENT
 *     for one of its jobs   that one was to end and did not; the others are put back, uncounted
 *     idle, or retired      it holds none
 * A job whose line it was not sent yet goes back to the pool. */
#ifndef KIND_WORKER_PROCESS_H
#define KIND_WORKER_PROCESS_H

#include "kind/line_feed.h"
#include "loop/child.h"
#include "module/attempt.h"

struct job_lines;
struct worker_pool;
struct worker_process;

enum { WORKER_SAID_BYTES = 201 };

struct worker_options {
    const char *path, *kind;
    int processes, jobs_at_once; /* at most, of the pool; of a process */
    int grace_ms;                /* from a cancel line to SIGTERM, from there to SIGKILL */
    int heartbeat_ms;            /* 0: a process may be silent for ever */
    int idle_ms;
    struct spawn_limits limits;
};

enum worker_end {
    WORKER_HELD,      /* no end yet */
    WORKER_ANSWERED,  /* answer */
    WORKER_CANCELLED, /* it was to end */
    WORKER_PUT_BACK,  /* through no fault of its own */
    WORKER_DIED,      /* text, error_class */
    WORKER_SILENT,
    WORKER_BAD_LINE
};

/* A job on its way through a pool, in its attempt's memory. */
struct worker_job {
    struct errand_job *job;
    struct worker_pool *pool;
    struct worker_process *process; /* NULL: it waits for one */
    struct worker_job *prev, *next;
    int64_t begins_at;       /* in all bytes that its process is sent */
    int64_t end_us;          /* it was told to end, and until then it may; 0: it was not */
    struct job_lines *lines; /* NULL: it said nothing yet */
    enum worker_end end;
    const char *text, *error_class;
    json_t *answer; /* owned */
};

struct worker_process {
    struct worker_pool *pool;
    struct worker_process *next;
    struct child *child;
    struct worker_job *jobs; /* as they were sent */
    int held;
    struct buf sending, following; /* what the child writes; what comes behind it */
    struct loop_deferred flush;
    int64_t queued_bytes; /* ever */
    struct line_feed out, err;
    char said[WORKER_SAID_BYTES]; /* its last line on stderr; for the text of its end */
    struct loop_timer timer;
    int64_t heard_us, idle_us, quit_us; /* since when; quit_us: until when it may end by itself */
    int64_t logged_us;
    int logged, log_dropped; /* lines of a second that no job's log has */
    enum worker_end others;  /* what became of jobs that are with it at its end */
    bool ending;             /* no more jobs */
    bool answered;           /* a job, ever */
};

struct worker_process *worker_process_start(struct worker_pool *pool);
bool worker_process_has_room(const struct worker_process *process);
void worker_process_give(struct worker_process *process, struct worker_job *worker);
/* Its stdin ends, and it after its grace. It holds no job. */
void worker_process_quit(struct worker_process *process);
/* The job is with it and is to end, as its attempt says. */
void worker_process_call_off(struct worker_process *process, struct worker_job *worker);
void worker_process_free(struct worker_process *process); /* for the pool */

#endif
