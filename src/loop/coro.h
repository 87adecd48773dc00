/* Coroutines: straight-line code that can wait. Each has a small stack of its own, with
 * a guard page below it, taken from a pool and lent out again. Not for code that needs a deep stack
 * (CORO_STACK_BYTES). */
#ifndef LOOP_CORO_H
#define LOOP_CORO_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
enum { CORO_STACK_BYTES = 512 * 1024 };
#else
enum { CORO_STACK_BYTES = 64 * 1024 };
#endif

struct coro;

struct coro_pool {
    struct coro *idle;
    size_t idle_count, live_count;
};

void coro_pool_init(struct coro_pool *pool);
void coro_pool_clear(struct coro_pool *pool); /* no coroutine may be live */

/* Runs body(owner) on a stack of its own until it first waits or ends. When it ends, its stack goes
 * back to the pool. */
struct coro *coro_start(struct coro_pool *pool, void (*body)(void *owner), void *owner);

/* Inside a coroutine: back to who started or resumed it, until coro_resume. */
void coro_wait(void);
/* From outside: goes on behind its coro_wait. */
void coro_resume(struct coro *coro);
/* The running one, and what it was started with; NULL outside of any, and in every other thread. */
struct coro *coro_current(void);
void *coro_owner(void);

/* Inside a coroutine: runs call(owner). False: coro_unwind ended it, which
 * ends the innermost one. */
bool coro_try(void (*call)(void *owner), void *owner);
/* Inside such a call: ends it, however deep it stands. Nothing on its stack is looked at again. */
_Noreturn void coro_unwind(void);

#endif
