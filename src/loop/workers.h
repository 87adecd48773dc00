/* A pool of threads for work that computes or blocks: so many at most at a time, the rest waits in
 * order. Threads are started when there is work for them and stay. A piece of work cannot be ended
 * from outside: it may look at its cancelled flag. */
#ifndef LOOP_WORKERS_H
#define LOOP_WORKERS_H

#include "base/err.h"
#include "loop/loop.h"

#include <pthread.h>
#include <stdatomic.h>

/* A piece of work, embedded by its owner, who keeps it until on_done or a successful withdraw. */
struct worker_task {
    void (*work)(struct worker_task *task);    /* on a thread of the pool */
    void (*on_done)(struct worker_task *task); /* later, on the loop */
    atomic_bool cancelled;
    struct worker_task *next;
};

struct workers {
    struct loop *loop;
    struct ev_async done;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t *threads;
    size_t most, count, idle;
    struct worker_task *waiting, **waiting_last;
    struct worker_task *ended, **ended_last;
    bool is_over;
};

void workers_init(struct workers *workers, struct loop *loop, size_t most);
void workers_clear(struct workers *workers); /* nothing runs or waits */

/* False: no thread could be started, and none is there; the task is not taken. */
bool workers_submit(struct workers *workers, struct worker_task *task, struct err *err);
/* Takes a task back that has not begun; on_done does not come. False: it runs, or has ended. */
bool workers_withdraw(struct workers *workers, struct worker_task *task);

#endif
