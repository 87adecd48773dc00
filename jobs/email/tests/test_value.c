/* JSON that somebody else wrote, read on a handler's small stack. */
#include "../send.h"
#include "../value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_depth(void **state)
{
    char text[100] = "";
    (void)state;
    memset(text, '[', VALUE_MAX_DEPTH);
    assert_true(value_depth_check(text, strlen(text)));
    text[VALUE_MAX_DEPTH] = '{';
    assert_false(value_depth_check(text, strlen(text)));
    assert_true(value_depth_check("", 0));
    assert_true(value_depth_check("]]]}}}", 6));
    assert_true(value_depth_check("\"", 1));
    assert_true(value_depth_check("\"\\", 2));
}

static void test_depth_looks_past_strings(void **state)
{
    char text[200] = "\"\\\"";
    (void)state;
    memset(text + 3, '[', 100);
    assert_true(value_depth_check(text, strlen(text)));
    text[2] = 'x';
    text[1] = '"';
    assert_false(value_depth_check(text, strlen(text)));
    for (size_t i = 0; i < 99; i++)
        memcpy(text + 2 * i, "[]", 2);
    assert_true(value_depth_check(text, 198));
}

static void test_parse(void **state)
{
    static const struct {
        const char *text, *error;
    } bad[] = {{"123456789012345678901234567890", "too big integer"}, {"", "end of file"}};
    json_error_t error;
    (void)state;
    json_t *value = value_parse("{\"a\":[1]}", 9, &error);
    assert_true(json_is_object(value));
    json_decref(value);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(value_parse(bad[i].text, strlen(bad[i].text), &error));
        assert_non_null(strstr(error.text, bad[i].error));
    }
    char deep[64];
    memset(deep, '[', sizeof deep);
    assert_null(value_parse(deep, sizeof deep, &error));
    assert_string_equal(error.text, "it is nested deeper than 32");
}

static void test_text(void **state)
{
    json_t *nul = json_stringn("a\0b", 3), *text = json_string("a");
    (void)state;
    assert_null(value_text(nul));
    assert_null(value_text(NULL));
    assert_null(value_text(json_null()));
    assert_string_equal(value_text(text), "a");
    assert_false(value_is_present(json_null()));
    assert_true(value_is_present(text));
    json_decref(nul);
    json_decref(text);
}

/* In any second: a burst, and what flows in until just before its end. */
static void test_rate_fits_into_each_second(void **state)
{
    (void)state;
    for (int limit = 1; limit <= 200; limit++) {
        double per_second, burst;
        send_rate(limit, &per_second, &burst);
        assert_true(burst >= 1 && per_second > 0);
        assert_true((int)(burst + per_second) <= limit);
        assert_true(per_second >= 0.7 * limit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_looks_past_strings),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_rate_fits_into_each_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
