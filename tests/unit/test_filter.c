/* filter: PATH=VALUE. */
#include "cli/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value, *path;
        bool is_json;
    } cases[] = {
        {"a=1", "1", "{\"a\"}", true},
        {"customer.id=42", "42", "{\"customer\",\"id\"}", true},
        {"a=b=c", "b=c", "{\"a\"}", false},
        {"a=", "", "{\"a\"}", false},
        {"a=null", "null", "{\"a\"}", true},
        {"a=true", "true", "{\"a\"}", true},
        {"a=True", "True", "{\"a\"}", false},
        {"a=\"x\"", "\"x\"", "{\"a\"}", true},
        {"a={\"b\": [1]}", "{\"b\": [1]}", "{\"a\"}", true},
        {"a={bad", "{bad", "{\"a\"}", false},
        {"a=1 2", "1 2", "{\"a\"}", false},
        {"a=123456789012345678901234567890", "123456789012345678901234567890", "{\"a\"}", false},
        {"\"a.b\".c=1", "1", "{\"a.b\",\"c\"}", true},
        {"c.\"a=\"=\"=x", "\"=x", "{\"c\",\"a=\"}", false},
        {"\"\\\"\\\\\"=1", "1", "{\"\\\"\\\\\"}", true},
        {"\"\"=1", "1", "{\"\"}", true},
        {"a..b=1", "1", "{\"a\",\"\",\"b\"}", true},
        {"a\"b=1", "1", "{\"a\\\"b\"}", true},
        {"{a},NULL=1", "1", "{\"{a},NULL\"}", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf path;
        const char *value;
        bool is_json;
        buf_init(&path, 0);
        assert_true(filter_split_args(cases[i].text, &path, &value, &is_json));
        assert_string_equal(buf_text(&path), cases[i].path);
        buf_clear(&path);
        assert_string_equal(value, cases[i].value);
        assert_int_equal(is_json, cases[i].is_json);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const cases[] = {"",      "a",        "=1",         "a.b",   "\"a\"",
                                        "\"a=1", "\"a\"b=1", "a.\"b\"c=1", "\"a\\", "\"a\\\"=1"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf path;
        const char *value;
        bool is_json;
        buf_init(&path, 0);
        assert_false(filter_split_args(cases[i], &path, &value, &is_json));
        buf_clear(&path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
