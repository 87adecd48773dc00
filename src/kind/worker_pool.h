/* The processes of a worker kind's file: started when there are jobs, ended when there have been
 * none for a while, begun anew, after a pause that grows, when they end by themselves. Jobs go to
 * the process that holds the fewest; those that none has room for wait in order. */
#ifndef KIND_WORKER_POOL_H
#define KIND_WORKER_POOL_H

#include "kind/worker_process.h"

struct worker_pool {
    struct worker_options options; /* with texts of its own */
    struct children *children;     /* from the first job on */
    struct worker_process *processes;
    struct worker_job *waiting;
    struct loop_timer again; /* when the next process may start */
    int64_t not_before_us;
    int failures;  /* processes that ended by themselves, in a row, without an answer */
    bool retired;  /* another version of the file is there */
    bool orphaned; /* it goes when its last process has ended */
};

struct worker_pool *worker_pool_new(const struct worker_options *options);
/* Its processes end when they hold no job. */
void worker_pool_retire(struct worker_pool *pool);
/* No job is there. The processes end; the rest follows them. */
void worker_pool_free(struct worker_pool *pool);
/* In the job's handler: comes back when worker->end is set. */
void worker_pool_run(struct worker_pool *pool, struct worker_job *worker);

/* For its processes. */
void worker_pool_take_back(struct worker_pool *pool, struct worker_job *worker); /* to the front */
void worker_pool_feed(struct worker_pool *pool); /* there may be room */
/* It has ended, and holds nothing any more; it is freed. */
void worker_pool_on_ended(struct worker_pool *pool, struct worker_process *process);

#endif
