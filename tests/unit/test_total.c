/* total: what ended since the runner began, in a bounded number of pairs of queue and kind. */
#include "queue/total.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_a_pair_has_one(void **state)
{
    struct totals totals = {0};
    (void)state;
    struct total *first = totals_find(&totals, "q", "k");
    assert_ptr_not_equal(totals_find(&totals, "k", "q"), first);
    assert_ptr_not_equal(totals_find(&totals, "q", "l"), first);
    assert_ptr_equal(totals_find(&totals, "q", "k"), first);
    assert_int_equal(totals.count, 3);
    totals_clear(&totals);
}

static void test_counts(void **state)
{
    struct totals totals = {0};
    (void)state;
    struct total *total = totals_find(&totals, "q", "k");
    total_count(total, COUNTS_DONE);
    total_count(total, COUNTS_DEAD);
    total_count_times(total, -5, 200); /* clocks that disagree */
    total_count_times(total, 3, 100);
    assert_int_equal(total->counts.ended[COUNTS_DONE], 1);
    assert_int_equal(total->counts.ended[COUNTS_DEAD], 1);
    assert_int_equal(total->counts.timed, 2);
    assert_int_equal(total->counts.wait_us, 3);
    assert_int_equal(total->counts.run_us, 300);
    assert_int_equal(total->counts.waits[0], 2);
    assert_int_equal(total->counts.runs[0], 1);
    assert_int_equal(total->counts.runs[1], 1);
    totals_clear(&totals);
}

static void test_beyond_the_bound_all_are_others(void **state)
{
    struct totals totals = {0};
    char name[32];
    (void)state;
    for (int i = 0; i < TOTAL_PAIRS; i++) {
        snprintf(name, sizeof name, "kind%d", i);
        assert_string_equal(totals_find(&totals, "q", name)->counts.kind, name);
    }
    struct total *others = totals_find(&totals, "q", "one.more");
    assert_string_equal(others->counts.kind, "(others)");
    assert_string_equal(others->counts.queue, "(others)");
    assert_ptr_equal(totals_find(&totals, "r", "yet.another"), others);
    assert_string_equal(totals_find(&totals, "q", "kind0")->counts.kind, "kind0");
    assert_int_equal(totals.count, TOTAL_PAIRS + 1);
    totals_clear(&totals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pair_has_one),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_beyond_the_bound_all_are_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
