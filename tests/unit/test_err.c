/* err: texts that fit, that do not, and prefixes. */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_set_returns_false_and_keeps_code(void **state)
{
    (void)state;
    struct err err = {0};
    assert_false(err_set(&err, ERR_CONFIG, "minute %d is not 0-59", 61));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_string_equal(err.text, "minute 61 is not 0-59");
    assert_string_equal(err.sqlstate, "");
}

static void test_long_text_is_cut_on_a_character(void **state)
{
    (void)state;
    struct err err = {0};
    char text[ERR_TEXT_BYTES * 2];
    for (size_t odd = 0; odd < 2; odd++) {
        memset(text, 0, sizeof text);
        memset(text, 'a', odd);
        for (size_t i = odd; i + 2 < sizeof text; i += 2)
            memcpy(text + i, "\xC3\xA9", 2);
        err_set(&err, ERR_BUG, "%s", text);
        size_t length = strlen(err.text);
        assert_in_range(length, ERR_TEXT_BYTES - 3, ERR_TEXT_BYTES - 1);
        assert_int_equal((length - odd) % 2, 0);
    }
}

static void test_prefix(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, ERR_TEMPORARY, "refused");
    assert_false(err_prefix(&err, "lane %d", 7));
    assert_string_equal(err.text, "lane 7: refused");
    assert_int_equal(err.code, ERR_TEMPORARY);
}

static void test_clear_and_names(void **state)
{
    (void)state;
    struct err err = {.code = ERR_BUG, .sqlstate = "XX000", .text = "x"};
    err_clear(&err);
    assert_int_equal(err.code, ERR_NONE);
    assert_string_equal(err.sqlstate, "");
    assert_string_equal(err.text, "");
    for (int code = ERR_NONE; code <= ERR_BUG; code++)
        assert_string_not_equal(err_code_name((enum err_code)code), "?");
    assert_string_equal(err_code_name((enum err_code)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_returns_false_and_keeps_code),
        cmocka_unit_test(test_long_text_is_cut_on_a_character),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_clear_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
