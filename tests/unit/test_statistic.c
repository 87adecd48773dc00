/* statistic: into which bucket of a histogram a time falls. */
#include "queue/statistic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_bounds_of_every_bucket(void **state)
{
    (void)state;
    for (int bucket = 0; bucket < STATISTIC_BUCKETS - 1; bucket++) {
        int64_t bound_us = INT64_C(64) << (bucket + 1);
        assert_int_equal(statistic_bucket(bound_us - 1), bucket);
        assert_int_equal(statistic_bucket(bound_us), bucket + 1);
    }
}

static void test_ends(void **state)
{
    (void)state;
    assert_int_equal(statistic_bucket(INT64_MIN), 0);
    assert_int_equal(statistic_bucket(-1), 0);
    assert_int_equal(statistic_bucket(0), 0);
    assert_int_equal(statistic_bucket(127), 0);
    assert_int_equal(statistic_bucket(INT64_MAX), STATISTIC_BUCKETS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_of_every_bucket),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
