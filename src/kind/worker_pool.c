#include "kind/worker_pool.h"

#include "base/mem.h"

#include <stdlib.h>
#include <utlist.h>

enum { PAUSE_FIRST_MS = 100, PAUSE_LAST_MS = 30000, PAUSE_DOUBLINGS = 9 };

static void on_again(void *owner)
{
    worker_pool_feed(owner);
}

struct worker_pool *worker_pool_new(const struct worker_options *options)
{
    struct worker_pool *pool = mem_zalloc(sizeof *pool);
    pool->options = *options;
    pool->options.path = mem_strdup(options->path);
    pool->options.kind = mem_strdup(options->kind);
    return pool;
}

/* Where nothing is left that belongs to it. */
static void pool_check_orphaned(struct worker_pool *pool)
{
    if (!pool->orphaned || pool->processes)
        return;
    free((char *)(uintptr_t)pool->options.path);
    free((char *)(uintptr_t)pool->options.kind);
    free(pool);
}

void worker_pool_retire(struct worker_pool *pool)
{
    pool->retired = true;
    for (struct worker_process *each = pool->processes; each; each = each->next)
        if (!each->held)
            worker_process_quit(each);
}

void worker_pool_free(struct worker_pool *pool)
{
    worker_pool_retire(pool);
    pool->orphaned = true;
    pool_check_orphaned(pool);
}

/* ---- Processes ---- */

static struct worker_process *pool_start(struct worker_pool *pool)
{
    struct worker_process *process = worker_process_start(pool);
    process->next = pool->processes;
    pool->processes = process;
    return process;
}

/* Another one starts before one that is busy gets more: so it costs no time when they compute.
 * NULL: there is no room, or the next one may not start yet. */
static struct worker_process *pool_choose(struct worker_pool *pool)
{
    struct worker_process *best = NULL;
    int count = 0;
    for (struct worker_process *each = pool->processes; each; each = each->next) {
        count += !each->ending;
        if (worker_process_has_room(each) && (!best || each->held < best->held))
            best = each;
    }
    if ((best && !best->held) || count >= pool->options.processes)
        return best;
    if (clock_mono_us() >= pool->not_before_us)
        return pool_start(pool);
    if (!best)
        loop_timer_set(&pool->again, pool->not_before_us);
    return best;
}

void worker_pool_on_ended(struct worker_pool *pool, struct worker_process *process)
{
    struct worker_process **at = &pool->processes;
    while (*at != process)
        at = &(*at)->next;
    *at = process->next;
    if (process->others == WORKER_DIED && !process->answered && !process->quit_us) {
        int64_t pause_ms = PAUSE_FIRST_MS;
        for (int i = 0; i < pool->failures; i++)
            pause_ms = pause_ms * 2 < PAUSE_LAST_MS ? pause_ms * 2 : PAUSE_LAST_MS;
        pool->failures += pool->failures < PAUSE_DOUBLINGS;
        pool->not_before_us = clock_mono_us() + pause_ms * 1000;
    }
    worker_process_free(process);
    worker_pool_feed(pool);
    pool_check_orphaned(pool);
}

/* ---- Jobs ---- */

void worker_pool_feed(struct worker_pool *pool)
{
    while (pool->waiting) {
        struct worker_job *first = pool->waiting;
        struct worker_process *process = pool_choose(pool);
        if (!process)
            return;
        DL_DELETE(pool->waiting, first);
        worker_process_give(process, first);
    }
    if (pool->children)
        loop_timer_stop(&pool->again);
}

void worker_pool_take_back(struct worker_pool *pool, struct worker_job *worker)
{
    DL_PREPEND(pool->waiting, worker);
}

static void pool_call_off(struct attempt *attempt)
{
    struct worker_job *worker = attempt->call_off_owner;
    if (worker->process) {
        worker_process_call_off(worker->process, worker);
        return;
    }
    DL_DELETE(worker->pool->waiting, worker);
    worker_pool_feed(worker->pool);
    worker->end = WORKER_CANCELLED;
    attempt_wake(attempt);
}

static void pool_attach(struct worker_pool *pool, struct children *children)
{
    if (pool->children)
        return;
    pool->children = children;
    loop_timer_init(&pool->again, children->loop, on_again, pool);
}

void worker_pool_run(struct worker_pool *pool, struct worker_job *worker)
{
    struct attempt *attempt = worker->job->attempt;
    pool_attach(pool, &attempt->host->children);
    worker->pool = pool;
    attempt->call_off = pool_call_off;
    attempt->call_off_owner = worker;
    DL_APPEND(pool->waiting, worker);
    worker_pool_feed(pool);
    attempt_sleep(attempt, WAIT_OTHER);
}
