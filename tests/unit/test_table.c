/* table: how columns share a narrow terminal. */
#include "cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static size_t total(const size_t *widths, size_t columns)
{
    size_t sum = (columns - 1) * 2;
    for (size_t i = 0; i < columns; i++)
        sum += widths[i];
    return sum;
}

static void test_what_fits_stays(void **state)
{
    (void)state;
    size_t widths[] = {10, 20, 30};
    table_fit(widths, 3, 0, 64);
    assert_true(widths[0] == 10 && widths[1] == 20 && widths[2] == 30);
}

static void test_the_widest_gives_way(void **state)
{
    (void)state;
    size_t widths[] = {10, 500000, 30, 20};
    table_fit(widths, 4, 0, 100);
    assert_int_equal(total(widths, 4), 100);
    assert_true(widths[0] == 10 && widths[3] == 20);
    assert_true(widths[1] <= widths[2] + 5 && widths[2] == 30);
}

static void test_some_stay_whole(void **state)
{
    (void)state;
    size_t widths[] = {40, 20, 60};
    table_fit(widths, 3, 1 | 4, 110);
    assert_true(widths[0] == 40 && widths[1] == 8 &&
                widths[2] == 60); /* and the line is too long */
    size_t wide[] = {40, 40};
    table_fit(wide, 2, 1, 62);
    assert_true(wide[0] == 40 && wide[1] == 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_fits_stays),
                                       cmocka_unit_test(test_the_widest_gives_way),
                                       cmocka_unit_test(test_some_stay_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
