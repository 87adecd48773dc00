/* bucket: so many tokens a second, a burst, and never more. */
#include "queue/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SECOND = 1000000 };

static struct bucket bucket_of(double per_second, double burst)
{
    struct bucket bucket = {0};
    bucket_set(&bucket, per_second, burst, 0);
    return bucket;
}

static int starts_until(struct bucket *bucket, int64_t from_us, int64_t until_us, int64_t every_us)
{
    int count = 0;
    for (int64_t at_us = from_us; at_us < until_us; at_us += every_us)
        if (bucket_allows(bucket, 0, at_us)) {
            bucket_take(bucket);
            count++;
        }
    return count;
}

static void test_no_rate(void **state)
{
    (void)state;
    struct bucket bucket = bucket_of(0, 0);
    assert_int_equal(starts_until(&bucket, 0, 1000, 1), 1000);
    assert_true(bucket_is_full(&bucket, 0));
}

static void test_burst_then_rate(void **state)
{
    (void)state;
    struct bucket bucket = bucket_of(50, 10);
    assert_int_equal(starts_until(&bucket, 0, 1, 1), 1);
    assert_int_equal(starts_until(&bucket, 0, 1000, 1), 9);
    assert_int_equal(starts_until(&bucket, 1000, 10 * SECOND, 100), 499);
}

static void test_next_is_when_it_allows(void **state)
{
    (void)state;
    struct bucket bucket = bucket_of(3, 1);
    assert_true(bucket_allows(&bucket, 0, 0));
    bucket_take(&bucket);
    assert_false(bucket_allows(&bucket, 0, 0));
    int64_t next_us = bucket_next_us(&bucket, 0);
    assert_in_range(next_us, SECOND / 3, SECOND / 3 + 2);
    assert_true(bucket_earliest_us(&bucket, 0) == next_us);
    assert_false(bucket_allows(&bucket, 0, next_us - 10));
    assert_true(bucket_allows(&bucket, 0, next_us));
    /* A second one is promised elsewhere. */
    assert_false(bucket_allows(&bucket, 1, next_us));
}

static void test_tokens_come_to_the_burst_only(void **state)
{
    (void)state;
    struct bucket bucket = bucket_of(1000, 5);
    assert_int_equal((int)bucket_tokens(&bucket, INT64_C(3600) * SECOND), 5);
    bucket_set_tokens(&bucket, 100, 0);
    assert_int_equal((int)bucket_tokens(&bucket, 0), 5);
    bucket_set_tokens(&bucket, 0, 0);
    assert_false(bucket_allows(&bucket, 0, 0));
}

/* A rate that is changed again and again must not let more through. */
static void test_changing_the_rate_makes_no_tokens(void **state)
{
    (void)state;
    struct bucket bucket = bucket_of(10, 2);
    int count = 0;
    for (int i = 0; i < 1000; i++) {
        bucket_set(&bucket, i % 2 ? 10 : 9, 2, i * 1000);
        count += starts_until(&bucket, i * 1000, i * 1000 + 1000, 500);
    }
    assert_in_range(count, 2 + 8, 2 + 10);
}

static void test_clock_never_goes_back(void **state)
{
    (void)state;
    struct bucket bucket = bucket_of(10, 1);
    bucket_take(&bucket);
    assert_false(bucket_allows(&bucket, 0, 0));
    assert_false(bucket_allows(&bucket, 0, -SECOND));
}

/* What is decided now and starts when a claim has come back must not come close to the next. */
static void test_promised_tokens_are_taken_at_the_start(void **state)
{
    (void)state;
    struct bucket bucket = bucket_of(10, 2);
    bucket_promise(&bucket);
    assert_true(bucket_allows(&bucket, 0, 0));
    bucket_promise(&bucket);
    assert_false(bucket_allows(&bucket, 0, 10 * SECOND));
    assert_true(bucket_next_us(&bucket, 0) == INT64_MAX);
    /* If both start now, the third one comes a tenth of a second later. */
    assert_in_range(bucket_earliest_us(&bucket, 0), 10 * SECOND + SECOND / 10,
                    10 * SECOND + SECOND / 10 + 1);
    bucket_redeem(&bucket, 10 * SECOND);
    assert_int_equal((int)bucket_tokens(&bucket, 10 * SECOND), 1);
    assert_false(bucket_allows(&bucket, 0, 10 * SECOND));
    assert_true(bucket_next_us(&bucket, 0) > 10 * SECOND);
    assert_true(bucket_next_us(&bucket, 0) <= 10 * SECOND + SECOND / 10 + 1);
    bucket_forgo(&bucket);
    assert_true(bucket_allows(&bucket, 0, 10 * SECOND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_rate),
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_next_is_when_it_allows),
        cmocka_unit_test(test_tokens_come_to_the_burst_only),
        cmocka_unit_test(test_changing_the_rate_makes_no_tokens),
        cmocka_unit_test(test_clock_never_goes_back),
        cmocka_unit_test(test_promised_tokens_are_taken_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
