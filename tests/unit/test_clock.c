/* clock_offset: which samples of the database's clock are believed. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t second = 1000000;

static void test_first_sample_is_taken(void **state)
{
    (void)state;
    struct clock_offset offset = {0};
    clock_offset_sample(&offset, 100, 300, 1000200);
    assert_int_equal(offset.offset_us, 1000000);
    assert_int_equal(offset.error_us, 101);
    assert_int_equal(clock_database_to_mono_us(&offset, 1000500), 500);
}

static void test_better_sample_wins(void **state)
{
    (void)state;
    struct clock_offset offset = {0};
    clock_offset_sample(&offset, 0, 10000, 505000);
    clock_offset_sample(&offset, 20000, 20200, 521000);
    assert_int_equal(offset.offset_us, 500900);
    assert_int_equal(offset.error_us, 101);
}

static void test_worse_sample_is_ignored(void **state)
{
    (void)state;
    struct clock_offset offset = {0};
    clock_offset_sample(&offset, 1000, 1200, 501100);
    clock_offset_sample(&offset, 20000, 60000, 530000);
    assert_int_equal(offset.offset_us, 500000);
}

/* 50 ppm: after 1,000 s the old sample may be 50 ms off, so one of 40 ms is better. */
static void test_old_sample_ages(void **state)
{
    (void)state;
    struct clock_offset offset = {0};
    clock_offset_sample(&offset, second, second + 200, 2 * second);
    clock_offset_sample(&offset, 1001 * second, 1001 * second + 80000, 1002 * second + 40000);
    assert_int_equal(offset.sampled_us, 1001 * second + 80000);
    assert_int_equal(offset.offset_us, second);
}

/* Somebody set the database's clock: a sample that contradicts the old one counts at once. */
static void test_clock_that_was_set_is_followed(void **state)
{
    (void)state;
    struct clock_offset offset = {0};
    clock_offset_sample(&offset, second, second + 200, 10 * second);
    clock_offset_sample(&offset, 2 * second, 2 * second + 20000, 3600 * second);
    assert_int_equal(offset.offset_us, 3598 * second - 10000);
}

static void test_clocks_move(void **state)
{
    (void)state;
    struct clock_offset offset = {0};
    int64_t before_us = clock_mono_us();
    assert_true(clock_mono_us() >= before_us);
    assert_true(clock_wall_us() > 1700000000LL * second);
    clock_offset_sample(&offset, before_us, before_us, before_us + 5 * second);
    assert_true(clock_database_us(&offset) >= before_us + 5 * second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_sample_is_taken),
        cmocka_unit_test(test_better_sample_wins),
        cmocka_unit_test(test_worse_sample_is_ignored),
        cmocka_unit_test(test_old_sample_ages),
        cmocka_unit_test(test_clock_that_was_set_is_followed),
        cmocka_unit_test(test_clocks_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
