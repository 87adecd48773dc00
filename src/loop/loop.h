/* The event loop: libev with a list of things to do after the current callbacks, so that nothing is
 * freed inside its own callback. One loop, one thread, nothing on it blocks. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct loop_deferred {
    void (*run)(void *owner);
    void *owner;
    struct loop_deferred *next;
    bool queued;
};

struct loop {
    struct ev_loop *ev;
    struct ev_prepare prepare; /* runs the deferred before the loop sleeps */
    struct ev_idle idle;       /* keeps the loop from sleeping while some are left */
    struct loop_deferred *first, **last;
    struct loop_deferred *now;   /* of this round, not run yet */
    struct thread_work *threads; /* whose end was not told yet (thread.h) */
};

void loop_init(struct loop *loop);
void loop_clear(struct loop *loop);
void loop_run(struct loop *loop); /* until loop_stop */
void loop_stop(struct loop *loop);

/* Runs deferred->run(owner) once, after the callbacks of this round; a second call before that
 * changes nothing. The caller embeds the struct and keeps it until it ran or was cancelled. */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
void loop_defer_cancel(struct loop *loop, struct loop_deferred *deferred);

/* A one-shot timer on the monotonic clock, at a time or never. Setting it again moves it. */
struct loop_timer {
    struct ev_timer timer;
    struct loop *loop;
    void (*run)(void *owner);
    void *owner;
    int64_t at_us; /* INT64_MAX: not set */
};

void loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*run)(void *owner),
                     void *owner);
void loop_timer_set(struct loop_timer *timer, int64_t at_mono_us); /* INT64_MAX stops it */
void loop_timer_set_least(struct loop_timer *timer,
                          int64_t at_mono_us); /* only when that is earlier */
void loop_timer_stop(struct loop_timer *timer);

#endif
