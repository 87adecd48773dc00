/* limit: counts and rates as people give them. */
#include "cli/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void test_counts(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"10", "10"}, {"0", "0"}, {"none", "0"}, {"007", "7"}, {"100000", "100000"}};
    static const char *const bad[] = {"",     "-1", "+1", "1.5", "100001", "99999999999999999999",
                                      "None", "1 ", " 1", "0x10"};
    char number[LIMIT_BYTES];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(limit_parse_count(good[i][0], number));
        assert_string_equal(number, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(limit_parse_count(bad[i], number));
}

static void test_rates(void **state)
{
    (void)state;
    static const char *const good[][2] = {{"50", "50"},
                                          {"50/s", "50"},
                                          {"90/m", "1.5"},
                                          {"1800/h", "0.5"},
                                          {"0.25", "0.25"},
                                          {"none", "0"},
                                          {"0", "0"},
                                          {"0/m", "0"},
                                          {"1/h", "0.000277777777777778"},
                                          {"1000000", "1000000"}};
    static const char *const bad[] = {"",      "-1",    "1e3", "0x10",    "nan",
                                      "inf",   "50/d",  "/s",  "50 /s",   "1..2",
                                      "1.2.3", "50/ms", ".5",  "1000001", "1s"};
    char number[LIMIT_BYTES];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(limit_parse_rate(good[i][0], number));
        assert_string_equal(number, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(limit_parse_rate(bad[i], number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts), cmocka_unit_test(test_rates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
