/* A piece of blocking work on a thread of its own, its end told on the loop. For name resolution
 * and what else has no asynchronous form; not a pool. */
#ifndef LOOP_THREAD_H
#define LOOP_THREAD_H

#include "base/err.h"
#include "loop/loop.h"

struct thread_work;

/* Starts work(owner) on a new thread; afterwards on_done(owner) runs on the loop. owner belongs to
 * the work until then: there is no way to end a thread early, so give work that ends by itself. One
 * that a loop does not outlive is left alone: it works on, and its end is told to nobody. */
bool thread_start(struct loop *loop, void (*work)(void *owner), void (*on_done)(void *owner),
                  void *owner, struct err *err);

void threads_leave(struct loop *loop); /* for loop_clear */

#endif
