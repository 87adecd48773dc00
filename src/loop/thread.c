#include "loop/thread.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct thread_work {
    struct thread_work *prev, *next; /* of the loop */
    struct ev_async done;
    struct loop *loop; /* NULL: it is gone */
    bool worked;
    pthread_t thread;
    void (*work)(void *owner);
    void (*on_done)(void *owner);
    void *owner;
};

/* Over loop and worked, of all. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *thread_main(void *argument)
{
    struct thread_work *work = argument;
    work->work(work->owner);
    pthread_mutex_lock(&lock);
    bool left = !work->loop;
    work->worked = true;
    if (!left)
        ev_async_send(work->loop->ev, &work->done);
    pthread_mutex_unlock(&lock);
    if (left)
        free(work);
    return NULL;
}

static void on_done(struct ev_loop *ev, struct ev_async *watcher, int events)
{
    struct thread_work *work = watcher->data;
    (void)events;
    pthread_join(work->thread, NULL);
    ev_async_stop(ev, &work->done);
    DL_DELETE(work->loop->threads, work);
    work->on_done(work->owner);
    free(work);
}

void threads_leave(struct loop *loop)
{
    struct thread_work *work, *next;
    DL_FOREACH_SAFE(loop->threads, work, next)
    {
        ev_async_stop(loop->ev, &work->done);
        pthread_mutex_lock(&lock);
        bool worked = work->worked;
        work->loop = NULL;
        pthread_detach(work->thread);
        pthread_mutex_unlock(&lock);
        if (worked)
            free(work);
    }
    loop->threads = NULL;
}

/* Signals belong to the loop's thread. */
static int thread_create(struct thread_work *work)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&work->thread, NULL, thread_main, work);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

bool thread_start(struct loop *loop, void (*run)(void *owner), void (*done)(void *owner),
                  void *owner, struct err *err)
{
    struct thread_work *work = mem_zalloc(sizeof *work);
    work->loop = loop;
    work->work = run;
    work->on_done = done;
    work->owner = owner;
    ev_async_init(&work->done, on_done);
    work->done.data = work;
    ev_async_start(loop->ev, &work->done);
    int failed = thread_create(work);
    if (failed) {
        ev_async_stop(loop->ev, &work->done);
        free(work);
        return err_set(err, ERR_TEMPORARY, "cannot start a thread: %s", strerror(failed));
    }
    DL_APPEND(loop->threads, work);
    return true;
}
