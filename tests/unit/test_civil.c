/* civil: dates and numbers of days, over two cycles of the calendar. */
#include "cron/civil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Counted on day by day from 1 January 1600, a Saturday. */
static void test_day_by_day(void **state)
{
    (void)state;
    int64_t days = civil_days(1600, 1, 1);
    int weekday = 6;
    for (int year = 1600; year < 2400; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= civil_month_days(year, month); day++, days++) {
                struct civil civil = civil_of_days(days);
                assert_int_equal(civil_days(year, month, day), days);
                assert_true(civil.year == year && civil.month == month && civil.day == day);
                assert_int_equal(civil_weekday(days), weekday);
                weekday = (weekday + 1) % 7;
            }
    assert_int_equal(days, civil_days(1600, 1, 1) + 2 * 146097);
}

static void test_known(void **state)
{
    (void)state;
    assert_int_equal(civil_days(1970, 1, 1), 0);
    assert_int_equal(civil_days(1969, 12, 31), -1);
    assert_int_equal(civil_days(2000, 3, 1), 11017);
    assert_int_equal(civil_month_days(1900, 2), 28);
    assert_int_equal(civil_month_days(2000, 2), 29);
    assert_int_equal(civil_month_days(2100, 2), 28);
    assert_int_equal(civil_month_days(2104, 2), 29);
    assert_int_equal(civil_weekday(civil_days(2026, 11, 25)), 3);
}

static void test_seconds(void **state)
{
    (void)state;
    assert_int_equal(civil_day_of_seconds(0), 0);
    assert_int_equal(civil_day_of_seconds(86399), 0);
    assert_int_equal(civil_day_of_seconds(86400), 1);
    assert_int_equal(civil_day_of_seconds(-1), -1);
    assert_int_equal(civil_day_of_seconds(-86400), -1);
    assert_int_equal(civil_day_of_seconds(-86401), -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_day_by_day),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
