/* retry: which line holds for a class of errors, and what it says. */
#include "queue/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

enum { ROUNDS = 4000 };

static const int64_t hour_ms = 3600000;

static int64_t bound_ms(int64_t first, int64_t last, int attempt)
{
    int64_t bound = first;
    for (int i = 1; i < attempt && bound < last; i++)
        bound *= 2;
    return bound > last ? last : bound;
}

static void check_full_jitter(const struct errand_retry *line, int64_t first, int64_t last)
{
    for (int attempt = 1; attempt <= 20; attempt++) {
        int64_t least = INT64_MAX, most = 0, bound = bound_ms(first, last, attempt), sum = 0;
        for (int i = 0; i < ROUNDS; i++) {
            int64_t wait = retry_delay_ms(line, attempt);
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
            sum += wait;
        }
        assert_true(least >= 0 && most <= bound);
        /* It comes near both ends, and evenly. */
        assert_true(least <= bound / 20);
        assert_true(most >= bound * 19 / 20);
        assert_in_range(sum / ROUNDS, bound * 45 / 100, bound * 55 / 100 + 1);
    }
}

static void test_default_is_full_jitter(void **state)
{
    (void)state;
    check_full_jitter(NULL, 2000, hour_ms);
    for (int i = 0; i < ROUNDS; i++) {
        assert_in_range(retry_delay_ms(NULL, INT_MAX), 0, hour_ms);
        assert_in_range(retry_delay_ms(NULL, 0), 0, 2000);
        assert_in_range(retry_delay_ms(NULL, -1), 0, 2000);
    }
}

static void test_exponential_of_a_kind(void **state)
{
    (void)state;
    static const int64_t delays[] = {100, 3000}, longest[] = {1, INT64_C(365) * 86400000};
    struct errand_retry line = {.delays_ms = delays, .delay_count = 2};
    check_full_jitter(&line, 100, 3000);
    line = (struct errand_retry){.policy = ERRAND_RETRY_EXPONENTIAL};
    check_full_jitter(&line, 2000, hour_ms);
    line = (struct errand_retry){.delays_ms = longest, .delay_count = 2};
    for (int attempt = 1; attempt < 1000; attempt++)
        assert_in_range(retry_delay_ms(&line, attempt), 0, longest[1]);
}

static void test_fixed_and_list(void **state)
{
    (void)state;
    static const int64_t delays[] = {5, 70, 900};
    struct errand_retry fixed = {
        .policy = ERRAND_RETRY_FIXED, .delays_ms = delays + 1, .delay_count = 1};
    struct errand_retry list = {.policy = ERRAND_RETRY_LIST, .delays_ms = delays, .delay_count = 3};
    static const int64_t wanted[] = {5, 5, 70, 900, 900, 900};
    for (int attempt = 0; attempt < 6; attempt++) {
        assert_int_equal(retry_delay_ms(&fixed, attempt), 70);
        assert_int_equal(retry_delay_ms(&list, attempt), wanted[attempt]);
    }
    assert_int_equal(retry_delay_ms(&list, INT_MAX), 900);
}

static void test_jitter_of_a_list(void **state)
{
    (void)state;
    static const int64_t delays[] = {1000, 86400000};
    struct errand_retry list = {
        .policy = ERRAND_RETRY_LIST, .delays_ms = delays, .delay_count = 2, .jitter_percent = 10};
    for (int attempt = 1; attempt <= 2; attempt++) {
        int64_t delay = delays[attempt - 1], least = INT64_MAX, most = 0;
        for (int i = 0; i < ROUNDS; i++) {
            int64_t wait = retry_delay_ms(&list, attempt);
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        assert_in_range(least, delay, delay + delay / 100);
        assert_in_range(most, delay + delay * 9 / 100, delay + delay / 10);
    }
}

static void test_the_end(void **state)
{
    (void)state;
    struct errand_retry never = {.policy = ERRAND_RETRY_NEVER}, few = {.max_attempts = 2},
                        many = {.max_attempts = 50}, plain = {.size = sizeof plain};
    assert_true(retry_is_over(&never, 1, 20));
    assert_false(retry_is_over(NULL, 19, 20));
    assert_true(retry_is_over(NULL, 20, 20));
    assert_false(retry_is_over(&plain, 19, 20));
    assert_true(retry_is_over(&plain, 20, 20));
    assert_false(retry_is_over(&few, 1, 20));
    assert_true(retry_is_over(&few, 2, 20));
    assert_false(retry_is_over(&many, 20, 20));
    assert_true(retry_is_over(&many, 50, 20));
}

/* Operators' before the kind's, a class's own before that of all others. */
static void test_which_line(void **state)
{
    (void)state;
    static const struct errand_retry of_kind[] = {
        {.max_attempts = 1}, {.error_class = "rate", .max_attempts = 2}, {.error_class = "b"}};
    static const struct errand_retry of_operators[] = {{.error_class = "rate", .max_attempts = 3},
                                                       {.error_class = "c"}};
    static const struct errand_retry for_all[] = {{.error_class = "", .max_attempts = 4}};
    struct retry_lines kind = {of_kind, 3}, operators = {of_operators, 2}, all = {for_all, 1},
                       none = {NULL, 0};
    assert_null(retry_line_for(none, none, "rate"));
    assert_ptr_equal(retry_line_for(none, kind, "rate"), &of_kind[1]);
    assert_ptr_equal(retry_line_for(none, kind, "x"), &of_kind[0]);
    assert_ptr_equal(retry_line_for(none, kind, NULL), &of_kind[0]);
    assert_ptr_equal(retry_line_for(operators, kind, "rate"), &of_operators[0]);
    assert_ptr_equal(retry_line_for(operators, kind, "c"), &of_operators[1]);
    assert_ptr_equal(retry_line_for(operators, kind, ""), &of_kind[0]);
    assert_ptr_equal(retry_line_for(all, kind, "x"), &for_all[0]);
    assert_ptr_equal(retry_line_for(all, kind, "b"), &of_kind[2]);
    assert_null(retry_line_of(none, kind, "lost"));
    assert_ptr_equal(retry_line_of(operators, none, "c"), &of_operators[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_is_full_jitter),
        cmocka_unit_test(test_exponential_of_a_kind),
        cmocka_unit_test(test_fixed_and_list),
        cmocka_unit_test(test_jitter_of_a_list),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_which_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
