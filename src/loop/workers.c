#include "loop/workers.h"

#include "base/mem.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- On the threads ---- */

static struct worker_task *workers_take(struct workers *workers)
{
    struct worker_task *task = workers->waiting;
    workers->waiting = task->next;
    if (!workers->waiting)
        workers->waiting_last = &workers->waiting;
    task->next = NULL;
    return task;
}

static void *workers_main(void *argument)
{
    struct workers *workers = argument;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        workers->idle++;
        while (!workers->waiting && !workers->is_over)
            pthread_cond_wait(&workers->wake, &workers->lock);
        workers->idle--;
        if (workers->is_over)
            break;
        struct worker_task *task = workers_take(workers);
        pthread_mutex_unlock(&workers->lock);
        task->work(task);
        pthread_mutex_lock(&workers->lock);
        *workers->ended_last = task;
        workers->ended_last = &task->next;
        ev_async_send(workers->loop->ev, &workers->done);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* ---- On the loop ---- */

static void workers_on_done(struct ev_loop *ev, struct ev_async *watcher, int events)
{
    struct workers *workers = watcher->data;
    (void)ev, (void)events;
    pthread_mutex_lock(&workers->lock);
    struct worker_task *ended = workers->ended;
    workers->ended = NULL;
    workers->ended_last = &workers->ended;
    pthread_mutex_unlock(&workers->lock);
    while (ended) {
        struct worker_task *task = ended;
        ended = task->next;
        task->next = NULL;
        task->on_done(task);
    }
}

void workers_init(struct workers *workers, struct loop *loop, size_t most)
{
    *workers = (struct workers){.loop = loop, .most = most};
    workers->threads = mem_zalloc(most * sizeof *workers->threads);
    workers->waiting_last = &workers->waiting;
    workers->ended_last = &workers->ended;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->wake, NULL);
    ev_async_init(&workers->done, workers_on_done);
    workers->done.data = workers;
}

void workers_clear(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    assert(!workers->waiting && !workers->ended);
    workers->is_over = true;
    pthread_cond_broadcast(&workers->wake);
    pthread_mutex_unlock(&workers->lock);
    for (size_t i = 0; i < workers->count; i++)
        pthread_join(workers->threads[i], NULL);
    if (workers->count)
        ev_async_stop(workers->loop->ev, &workers->done);
    pthread_cond_destroy(&workers->wake);
    pthread_mutex_destroy(&workers->lock);
    free(workers->threads);
}

/* Signals belong to the loop's thread. */
static bool workers_add_thread(struct workers *workers, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&workers->threads[workers->count], NULL, workers_main, workers);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return err_set(err, ERR_TEMPORARY, "cannot start a thread: %s", strerror(failed));
    if (workers->count++ == 0)
        ev_async_start(workers->loop->ev, &workers->done);
    return true;
}

bool workers_submit(struct workers *workers, struct worker_task *task, struct err *err)
{
    err_clear(err);
    pthread_mutex_lock(&workers->lock);
    size_t waiting = 1;
    for (const struct worker_task *each = workers->waiting; each && waiting <= workers->idle;
         each = each->next)
        waiting++;
    bool wanted = waiting > workers->idle && workers->count < workers->most;
    bool taken = !wanted || workers_add_thread(workers, err) || workers->count > 0;
    if (taken) {
        task->next = NULL;
        *workers->waiting_last = task;
        workers->waiting_last = &task->next;
        pthread_cond_signal(&workers->wake);
    }
    pthread_mutex_unlock(&workers->lock);
    return taken;
}

bool workers_withdraw(struct workers *workers, struct worker_task *task)
{
    pthread_mutex_lock(&workers->lock);
    struct worker_task **at = &workers->waiting;
    while (*at && *at != task)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found) {
        *at = task->next;
        if (workers->waiting_last == &task->next)
            workers->waiting_last = at;
        task->next = NULL;
    }
    pthread_mutex_unlock(&workers->lock);
    return found;
}
