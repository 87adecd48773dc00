/* when: distances from now, durations. */
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
    } cases[] = {
        {"+0s", 0},        {"+10s", 10000},   {"+500ms", 500},     {"+5m", 300000},
        {"+2h", 7200000},  {"+1d", 86400000}, {"+1h30m", 5400000}, {"+1d1h1m1s1ms", 90061001},
        {"-1h", -3600000}, {"-1m30s", -90000}};
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
        "",        "10s",         "+",        "+s",    "+10",
        "+-1s",    "+1w",         "+1s ",     "+1.5h", "+99999999999999999999s",
        "+20000d", "+3000d3000d", "tomorrow", "-",     "--1s",
        "-+1s",    "-1"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        long long ms;
        assert_false(when_parse_distance(cases[i], &ms));
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "+1s", "-1s", "1", "1s,2s", "1.5s", " 1s", "h"};
    long long ms;
    assert_true(when_parse_duration("1h30m", &ms));
    assert_int_equal(ms, 5400000);
    assert_true(when_parse_duration("0s", &ms));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(when_parse_duration(bad[i], &ms));
}

static void test_parameters(void **state)
{
    (void)state;
    struct when when;
    when_set(&when, "-1500ms");
    assert_null(when.at);
    assert_string_equal(when.from_now, "-1.500");
    when_set(&when, "+2s");
    assert_string_equal(when.from_now, "2.000");
    when_set(&when, "-50ms");
    assert_string_equal(when.from_now, "-0.050");
    when_set(&when, "2031-01-31");
    assert_string_equal(when.at, "2031-01-31");
    assert_null(when.from_now);
    when_set(&when, NULL);
    assert_true(!when.at && !when.from_now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_durations),
                                       cmocka_unit_test(test_parameters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
