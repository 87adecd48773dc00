/* coro: switching there and back, many alive at once, and stacks that are lent out again. */
#include "loop/coro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1000, DEEP_BYTES = 32 * 1024 };

struct walker {
    struct coro_pool *pool;
    struct coro *coro;
    int steps, wanted;
    unsigned seed;
    bool ended;
};

static unsigned char pattern(unsigned seed, size_t i)
{
    return (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

/* Fills a good part of the stack, waits, and finds it as it was. */
static void walk(void *owner)
{
    struct walker *walker = owner;
    volatile unsigned char mine[DEEP_BYTES];
    assert_non_null(coro_current());
    walker->coro = coro_current();
    for (size_t i = 0; i < sizeof mine; i++)
        mine[i] = pattern(walker->seed, i);
    while (walker->steps < walker->wanted) {
        walker->steps++;
        coro_wait();
        assert_ptr_equal(coro_current(), walker->coro);
    }
    for (size_t i = 0; i < sizeof mine; i += 97)
        assert_int_equal(mine[i], pattern(walker->seed, i));
    walker->ended = true;
}

static void test_one(void **state)
{
    (void)state;
    struct coro_pool pool;
    struct walker walker = {.wanted = 3, .seed = 1};
    coro_pool_init(&pool);
    assert_null(coro_current());
    struct coro *coro = coro_start(&pool, walk, &walker);
    assert_ptr_equal(coro, walker.coro);
    for (int i = 1; i <= 3; i++) {
        assert_null(coro_current());
        assert_int_equal(walker.steps, i);
        assert_false(walker.ended);
        assert_int_equal(pool.live_count, 1);
        coro_resume(coro);
    }
    assert_true(walker.ended);
    assert_int_equal(pool.live_count, 0);
    coro_pool_clear(&pool);
}

static void test_one_that_never_waits(void **state)
{
    (void)state;
    struct coro_pool pool;
    struct walker walker = {.wanted = 0};
    coro_pool_init(&pool);
    coro_start(&pool, walk, &walker);
    assert_true(walker.ended);
    assert_int_equal(pool.live_count, 0);
    assert_int_equal(pool.idle_count, 1);
    coro_pool_clear(&pool);
}

static void test_many_at_once_in_any_order(void **state)
{
    (void)state;
    static struct walker walkers[MANY];
    struct coro_pool pool;
    size_t left = MANY;
    unsigned seed = 7;
    coro_pool_init(&pool);
    memset(walkers, 0, sizeof walkers);
    for (unsigned i = 0; i < MANY; i++) {
        walkers[i] = (struct walker){.wanted = 1 + (int)(i % 5), .seed = i};
        coro_start(&pool, walk, &walkers[i]);
    }
    assert_int_equal(pool.live_count, MANY);
    while (left > 0) {
        seed = seed * 1103515245 + 12345;
        struct walker *walker = &walkers[(seed >> 8) % MANY];
        for (unsigned i = 0; walker->ended; i++)
            walker = &walkers[i];
        coro_resume(walker->coro);
        left -= walker->ended;
    }
    assert_int_equal(pool.live_count, 0);
    /* A burst does not keep its memory for ever. */
    assert_in_range(pool.idle_count, 1, MANY / 2);
    coro_pool_clear(&pool);
    assert_int_equal(pool.idle_count, 0);
}

static void test_stacks_are_lent_out_again(void **state)
{
    (void)state;
    struct coro_pool pool;
    coro_pool_init(&pool);
    for (unsigned i = 0; i < 3000; i++) {
        struct walker walker = {.wanted = (int)(i % 3), .seed = i};
        struct coro *coro = coro_start(&pool, walk, &walker);
        while (!walker.ended)
            coro_resume(coro);
        assert_int_equal(pool.idle_count, 1);
    }
    coro_pool_clear(&pool);
}

/* ---- What runs inside may start others ---- */

static void start_another(void *owner)
{
    struct walker *walker = owner;
    walker->steps++;
    coro_wait();
    walker->steps++;
}

static void test_two_take_turns(void **state)
{
    (void)state;
    struct coro_pool pool;
    struct walker a = {0}, b = {0};
    coro_pool_init(&pool);
    struct coro *first = coro_start(&pool, start_another, &a);
    struct coro *second = coro_start(&pool, start_another, &b);
    assert_ptr_not_equal(first, second);
    coro_resume(second);
    assert_int_equal(a.steps, 1);
    assert_int_equal(b.steps, 2);
    /* The ended one's stack is the next one's, while the other still stands on its own. */
    struct walker c = {0};
    assert_ptr_equal(coro_start(&pool, start_another, &c), second);
    coro_resume(first);
    coro_resume(second);
    assert_int_equal(a.steps + c.steps, 4);
    coro_pool_clear(&pool);
}

/* What a handler calls may allocate, format, and call back: nothing of it minds the small stack. */
static void use_libc(void *owner)
{
    char text[512];
    double *sum = owner;
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%.17g and %d", (double)i / 3, i);
        *sum += strtod(text, NULL);
        if (i % 10 == 0)
            coro_wait();
    }
}

static void test_library_calls_and_floating_point(void **state)
{
    (void)state;
    struct coro_pool pool;
    double sums[4] = {0};
    struct coro *coros[4];
    coro_pool_init(&pool);
    for (int i = 0; i < 4; i++)
        coros[i] = coro_start(&pool, use_libc, &sums[i]);
    for (int round = 0; round < 5; round++)
        for (int i = 0; i < 4; i++)
            coro_resume(coros[i]);
    assert_int_equal(pool.live_count, 0);
    for (int i = 0; i < 4; i++)
        assert_true(sums[i] > 408.33 && sums[i] < 408.34);
    coro_pool_clear(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_one_that_never_waits),
        cmocka_unit_test(test_many_at_once_in_any_order),
        cmocka_unit_test(test_stacks_are_lent_out_again),
        cmocka_unit_test(test_two_take_turns),
        cmocka_unit_test(test_library_calls_and_floating_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
