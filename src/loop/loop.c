#include "loop/loop.h"

#include "base/clock.h"
#include "loop/thread.h"

#include <assert.h>
#include <stddef.h>

/* What a deferred one defers in turn runs in the next round, so that no chain starves the watchers.
 */
static void loop_run_deferred(struct loop *loop)
{
    loop->now = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    while (loop->now) {
        struct loop_deferred *each = loop->now;
        loop->now = each->next;
        each->next = NULL;
        each->queued = false;
        each->run(each->owner);
    }
}

static void on_prepare(struct ev_loop *ev, struct ev_prepare *watcher, int events)
{
    struct loop *loop = watcher->data;
    (void)events;
    loop_run_deferred(loop);
    if (loop->first)
        ev_idle_start(ev, &loop->idle);
    else
        ev_idle_stop(ev, &loop->idle);
}

static void on_idle(struct ev_loop *ev, struct ev_idle *watcher, int events)
{
    (void)ev, (void)watcher, (void)events;
}

void loop_init(struct loop *loop)
{
    *loop = (struct loop){.ev = ev_loop_new(EVFLAG_AUTO)};
    assert(loop->ev);
    loop->last = &loop->first;
    ev_prepare_init(&loop->prepare, on_prepare);
    loop->prepare.data = loop;
    ev_prepare_start(loop->ev, &loop->prepare);
    ev_idle_init(&loop->idle, on_idle);
}

void loop_clear(struct loop *loop)
{
    threads_leave(loop);
    ev_prepare_stop(loop->ev, &loop->prepare);
    ev_idle_stop(loop->ev, &loop->idle);
    ev_loop_destroy(loop->ev);
    loop->ev = NULL;
}

void loop_run(struct loop *loop)
{
    ev_run(loop->ev, 0);
}

void loop_stop(struct loop *loop)
{
    ev_break(loop->ev, EVBREAK_ALL);
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred)
{
    if (deferred->queued)
        return;
    deferred->queued = true;
    deferred->next = NULL;
    *loop->last = deferred;
    loop->last = &deferred->next;
}

static bool deferred_remove(struct loop_deferred **at, const struct loop_deferred *deferred)
{
    while (*at && *at != deferred)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found)
        *at = deferred->next;
    return found;
}

void loop_defer_cancel(struct loop *loop, struct loop_deferred *deferred)
{
    if (!deferred->queued)
        return;
    if (!deferred_remove(&loop->now, deferred) && deferred_remove(&loop->first, deferred))
        for (loop->last = &loop->first; *loop->last;)
            loop->last = &(*loop->last)->next;
    deferred->queued = false;
}

static void on_timer(struct ev_loop *ev, struct ev_timer *watcher, int events)
{
    struct loop_timer *timer = watcher->data;
    (void)ev, (void)events;
    timer->at_us = INT64_MAX;
    timer->run(timer->owner);
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*run)(void *owner),
                     void *owner)
{
    *timer = (struct loop_timer){.loop = loop, .run = run, .owner = owner, .at_us = INT64_MAX};
    ev_timer_init(&timer->timer, on_timer, 0., 0.);
    timer->timer.data = timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t at_mono_us)
{
    if (at_mono_us == timer->at_us)
        return;
    ev_timer_stop(timer->loop->ev, &timer->timer);
    timer->at_us = at_mono_us;
    if (at_mono_us == INT64_MAX)
        return;
    /* libev counts from the time of this round; what passed since then must not make the timer
     * late. */
    ev_now_update(timer->loop->ev);
    int64_t wait_us = at_mono_us - clock_mono_us();
    ev_timer_set(&timer->timer, wait_us > 0 ? (double)wait_us / 1e6 : 0., 0.);
    ev_timer_start(timer->loop->ev, &timer->timer);
}

void loop_timer_set_least(struct loop_timer *timer, int64_t at_mono_us)
{
    if (at_mono_us < timer->at_us)
        loop_timer_set(timer, at_mono_us);
}

void loop_timer_stop(struct loop_timer *timer)
{
    loop_timer_set(timer, INT64_MAX);
}
