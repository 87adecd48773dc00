/* The checked longjmp takes another stack for a broken one. */
#undef _FORTIFY_SOURCE

#include "loop/coro.h"

#include "base/mem.h"

#include <assert.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

enum { CORO_IDLE_MAX = 128 };

struct coro {
    jmp_buf self, *tried; /* the innermost coro_try's, on the stack */
    struct coro_pool *pool;
    struct coro *next;
    void (*body)(void *owner);
    void *owner;
    char *map, *stack;
    size_t map_bytes;
    bool made; /* it stands in its trampoline and may be entered */
    bool ended;
#if defined(__SANITIZE_ADDRESS__)
    void *fake_stack, *outside_fake_stack;
    const void *outside_stack;
    size_t outside_stack_bytes;
#endif
};

/* Another thread is in none. */
static _Thread_local struct coro *current;
static _Thread_local jmp_buf outside; /* of the current one */

struct coro *coro_current(void)
{
    return current;
}

/* makecontext passes ints only. */
static void coro_trampoline(unsigned high, unsigned low);

/* A context is made once for each stack, because setcontext costs a system call; from then on
 * _setjmp and _longjmp change between the stacks. This frame is
 * left for good, so the sanitizer must mark nothing in it. */
__attribute__((noinline, no_sanitize_address)) static void coro_make_and_enter(struct coro *coro)
{
    ucontext_t context;
    uintptr_t self = (uintptr_t)coro;
    getcontext(&context);
    context.uc_stack.ss_sp = coro->stack;
    context.uc_stack.ss_size = CORO_STACK_BYTES;
    context.uc_link = NULL;
    makecontext(&context, (void (*)(void))coro_trampoline, 2, (unsigned)(self >> 32),
                (unsigned)self);
    coro->made = true;
    setcontext(&context);
}

/* What a caller holds in registers must not live across a change of stack: nothing here is inlined,
 * and nothing but the coroutine is used afterwards. */
__attribute__((noinline)) static void coro_switch_in(struct coro *coro)
{
    if (_setjmp(outside) != 0)
        return;
    if (!coro->made)
        coro_make_and_enter(coro);
    _longjmp(coro->self, 1);
}

__attribute__((noinline)) static void coro_switch_out(struct coro *coro)
{
    if (_setjmp(coro->self) == 0)
        _longjmp(outside, 1);
}

/* The sanitizer must be told of every change of stack, on both sides of it. */
__attribute__((noinline)) static void coro_enter(struct coro *coro)
{
    assert(!current && !coro->ended);
    current = coro;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&coro->outside_fake_stack, coro->stack, CORO_STACK_BYTES);
#endif
    coro_switch_in(coro);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(coro->outside_fake_stack, NULL, NULL);
    /* Its fake stack is gone, and the context with it. */
    coro->made = !coro->ended;
#endif
}

__attribute__((noinline)) static void coro_leave(struct coro *coro)
{
    current = NULL;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(coro->ended ? NULL : &coro->fake_stack, coro->outside_stack,
                                   coro->outside_stack_bytes);
#endif
    coro_switch_out(coro);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(coro->fake_stack, &coro->outside_stack,
                                    &coro->outside_stack_bytes);
#endif
}

static void coro_trampoline(unsigned high, unsigned low)
{
    struct coro *coro = (struct coro *)(((uintptr_t)high << 32) | low);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &coro->outside_stack, &coro->outside_stack_bytes);
#endif
    for (;;) { /* lent out again, it goes on here */
        coro->body(coro->owner);
        coro->ended = true;
        coro_leave(coro);
    }
}

static struct coro *coro_new(void)
{
    struct coro *coro = mem_zalloc(sizeof *coro);
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    coro->map_bytes = guard + CORO_STACK_BYTES;
    coro->map = mmap(NULL, coro->map_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (coro->map == MAP_FAILED)
        abort();
    mprotect(coro->map, guard, PROT_NONE);
    coro->stack = coro->map + guard;
    return coro;
}

static void coro_free(struct coro *coro)
{
    munmap(coro->map, coro->map_bytes);
    free(coro);
}

void coro_pool_init(struct coro_pool *pool)
{
    *pool = (struct coro_pool){0};
}

void coro_pool_clear(struct coro_pool *pool)
{
    assert(pool->live_count == 0);
    while (pool->idle) {
        struct coro *next = pool->idle->next;
        coro_free(pool->idle);
        pool->idle = next;
    }
    pool->idle_count = 0;
}

static struct coro *coro_pool_take(struct coro_pool *pool)
{
    struct coro *coro = pool->idle;
    if (coro) {
        pool->idle = coro->next;
        pool->idle_count--;
    } else {
        coro = coro_new();
    }
    pool->live_count++;
    return coro;
}

static void coro_pool_put(struct coro_pool *pool, struct coro *coro)
{
    pool->live_count--;
    if (pool->idle_count >= CORO_IDLE_MAX) {
        coro_free(coro);
        return;
    }
    coro->next = pool->idle;
    pool->idle = coro;
    pool->idle_count++;
}

static void coro_run(struct coro *coro)
{
    coro_enter(coro);
    if (coro->ended)
        coro_pool_put(coro->pool, coro);
}

struct coro *coro_start(struct coro_pool *pool, void (*body)(void *owner), void *owner)
{
    struct coro *coro = coro_pool_take(pool);
    coro->pool = pool;
    coro->body = body;
    coro->owner = owner;
    coro->ended = false;
    coro_run(coro);
    return coro;
}

void coro_wait(void)
{
    assert(current);
    coro_leave(current);
}

void coro_resume(struct coro *coro)
{
    coro_run(coro);
}

__attribute__((noinline)) bool coro_try(void (*call)(void *owner), void *owner)
{
    struct coro *coro = current;
    assert(coro);
    jmp_buf here, *outer = coro->tried;
    coro->tried = &here;
    bool ended = _setjmp(here) != 0;
    if (!ended)
        call(owner);
    coro->tried = outer;
    return !ended;
}

void coro_unwind(void)
{
    assert(current);
    _longjmp(*current->tried, 1);
}

void *coro_owner(void)
{
    return current ? current->owner : NULL;
}
