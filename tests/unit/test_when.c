/* when: distances from now. */
#include "cli/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        long long ms;
    } cases[] = {{"+0s", 0},          {"+10s", 10000},           {"+500ms", 500},
                 {"+5m", 300000},     {"+2h", 7200000},          {"+1d", 86400000},
                 {"+1h30m", 5400000}, {"+1d1h1m1s1ms", 90061001}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        long long ms;
        assert_true(when_parse_distance(cases[i].text, &ms));
        assert_int_equal(ms, cases[i].ms);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",        "10s",         "+",       "+s",    "+10",
        "+-1s",    "+1w",         "+1s ",    "+1.5h", "+99999999999999999999s",
        "+20000d", "+3000d3000d", "tomorrow"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        long long ms;
        assert_false(when_parse_distance(cases[i], &ms));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
