#include "loop/thread.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct thread_work {
    struct ev_async done;
    struct loop *loop;
    pthread_t thread;
    void (*work)(void *owner);
    void (*on_done)(void *owner);
    void *owner;
};

static void *thread_main(void *argument)
{
    struct thread_work *work = argument;
    work->work(work->owner);
    ev_async_send(work->loop->ev, &work->done);
    return NULL;
}

static void on_done(struct ev_loop *ev, struct ev_async *watcher, int events)
{
    struct thread_work *work = watcher->data;
    (void)events;
    pthread_join(work->thread, NULL);
    ev_async_stop(ev, &work->done);
    work->on_done(work->owner);
    free(work);
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
    return true;
}
