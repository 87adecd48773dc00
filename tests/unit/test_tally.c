/* tally: words counted in the order in which they came. */
#include "cli/tally.h"

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
    struct tally tally = {0};
    tally_add(&tally, "running");
    tally_add(&tally, "due");
    tally_add(&tally, "running");
    assert_int_equal(tally.total, 3);
    assert_int_equal(tally.words, 2);
    assert_string_equal(tally.items[0].word, "running");
    assert_int_equal(tally_get(&tally, "running"), 2);
    assert_int_equal(tally_get(&tally, "due"), 1);
    assert_int_equal(tally_get(&tally, "none"), 0);
}

static void test_too_many_words(void **state)
{
    (void)state;
    struct tally tally = {0};
    for (int i = 0; i < 40; i++) {
        char word[16];
        snprintf(word, sizeof word, "word %d", i);
        tally_add(&tally, word);
    }
    assert_int_equal(tally.total, 40);
    assert_int_equal(tally.words, TALLY_WORDS_MAX);
    assert_int_equal(tally_get(&tally, "other"), 40 - (TALLY_WORDS_MAX - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts),
                                       cmocka_unit_test(test_too_many_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
