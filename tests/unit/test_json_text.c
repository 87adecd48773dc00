/* json_text: what is taken as JSON for the database, and what is not. */
#include "module/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_good(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",    "[]",        "null",
        "\"a\"", "1",         " {\"a\": [1, 2.5e300, {\"\\u00e4\": \"\xc3\xa4\"}]} ",
        "true",  "\"\\\\[\"", "-9223372036854775808"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_null(json_text_fault(texts[i], 100));
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",         "{",      "{} {}",   "{'a': 1}", "nul",         "\"\\u0000\"",
        "\"\xff\"", "1e9999", "[1, 2,]", "\"\n\"",   "\"\\ud800\"", "9223372036854775808"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *fault = json_text_fault(texts[i], 100);
        if (!fault || !strstr(fault, "it is not JSON"))
            fail_msg("%s: %s", texts[i], fault ? fault : "taken");
    }
}

static void test_numbers_of_postgresql(void **state)
{
    (void)state;
    static const char *const good[] = {"1e-16383", "[1.25e-16381, -0]", "\"1e-20000\"",
                                       "{\"\\\"1e-20000\": 1E-5}", "1e300"};
    static const char *const bad[] = {"1e-16384", "[1, -1.5E-16383]", "{\"a\": 0.0000e-99999}",
                                      "1e-99999999999999999999"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_null(json_text_fault(good[i], 100));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(json_text_fault(bad[i], 100),
                            "a number has more than 16383 digits behind the point");
}

static void nest(char *text, int levels)
{
    memset(text, '[', (size_t)levels);
    memset(text + levels, ']', (size_t)levels);
    text[2 * levels] = '\0';
}

static void test_bounds(void **state)
{
    (void)state;
    char text[80];
    assert_null(json_text_fault("\"12345678\"", 10));
    assert_string_equal(json_text_fault("\"123456789\"", 10), "it is too large");
    nest(text, JSON_TEXT_DEPTH_MAX);
    assert_null(json_text_fault(text, 100));
    nest(text, JSON_TEXT_DEPTH_MAX + 1);
    assert_string_equal(json_text_fault(text, 100), "it is more than 32 levels deep");
}

static void test_of_values(void **state)
{
    (void)state;
    json_t *value = json_pack("{s:i, s:[s, b, n]}", "a", 1, "b", "x", 1);
    char *text = json_text_of(value);
    assert_string_equal(text, "{\"a\":1,\"b\":[\"x\",true,null]}");
    free(text);
    json_decref(value);
    value = json_string("x");
    text = json_text_of(value);
    assert_string_equal(text, "\"x\"");
    free(text);
    json_decref(value);
    assert_null(json_text_of(NULL));
    json_t *inner = json_integer(1);
    for (int i = 0; i < JSON_TEXT_DEPTH_MAX; i++)
        inner = i % 2 ? json_pack("[o]", inner) : json_pack("{s:o}", "k", inner);
    text = json_text_of(inner);
    assert_non_null(text);
    assert_null(json_text_fault(text, 1000));
    free(text);
    inner = json_pack("[o]", inner);
    assert_null(json_text_of(inner));
    json_decref(inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_numbers_of_postgresql),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_of_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
