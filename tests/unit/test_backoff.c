/* backoff: bounds that double from 2 s to an hour, a random time below them. */
#include "queue/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

enum { ROUNDS = 2000 };

static int64_t bound_ms(int attempt)
{
    int64_t bound = 2000;
    for (int i = 1; i < attempt && bound < 3600000; i++)
        bound *= 2;
    return bound > 3600000 ? 3600000 : bound;
}

static void test_between_a_tenth_and_the_bound(void **state)
{
    (void)state;
    for (int attempt = 1; attempt <= 20; attempt++) {
        int64_t least = INT64_MAX, most = 0;
        for (int i = 0; i < ROUNDS; i++) {
            int64_t wait = backoff_ms(attempt);
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        assert_true(least >= bound_ms(attempt) / 10);
        assert_true(most < bound_ms(attempt));
        /* Full jitter: it comes near both ends. */
        assert_true(least < bound_ms(attempt) / 5);
        assert_true(most > bound_ms(attempt) * 9 / 10);
    }
}

static void test_first_and_last(void **state)
{
    (void)state;
    assert_int_equal(BACKOFF_FIRST_MS, 2000);
    assert_int_equal(BACKOFF_MAX_MS, 3600000);
    for (int i = 0; i < ROUNDS; i++) {
        assert_in_range(backoff_ms(1000), 360000, 3599999);
        assert_in_range(backoff_ms(INT_MAX), 360000, 3599999);
        assert_in_range(backoff_ms(0), 200, 1999);
        assert_in_range(backoff_ms(-1), 200, 1999);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_between_a_tenth_and_the_bound),
        cmocka_unit_test(test_first_and_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
