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
        const char *text, *value;
        size_t path;
        bool is_json;
    } cases[] = {{"a=1", "1", 1, true},
                 {"customer.id=42", "42", 11, true},
                 {"a=b=c", "b=c", 1, false},
                 {"a=", "", 1, false},
                 {"a=null", "null", 1, true},
                 {"a=true", "true", 1, true},
                 {"a=True", "True", 1, false},
                 {"a=\"x\"", "\"x\"", 1, true},
                 {"a={\"b\": [1]}", "{\"b\": [1]}", 1, true},
                 {"a={bad", "{bad", 1, false},
                 {"a=1 2", "1 2", 1, false},
                 {"a=123456789012345678901234567890", "123456789012345678901234567890", 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length;
        const char *value;
        bool is_json;
        assert_true(filter_split_args(cases[i].text, &length, &value, &is_json));
        assert_int_equal(length, cases[i].path);
        assert_string_equal(value, cases[i].value);
        assert_int_equal(is_json, cases[i].is_json);
    }
}

static void test_bad(void **state)
{
    (void)state;
    size_t length;
    const char *value;
    bool is_json;
    assert_false(filter_split_args("", &length, &value, &is_json));
    assert_false(filter_split_args("a", &length, &value, &is_json));
    assert_false(filter_split_args("=1", &length, &value, &is_json));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
