/* traceparent: what is one, and the span that an attempt hands on. */
#include "module/traceparent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

static void test_valid(void **state)
{
    (void)state;
    assert_true(traceparent_is_valid(parent));
    assert_true(traceparent_is_valid("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"));
}

static void test_not_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0gf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (traceparent_is_valid(texts[i]))
            fail_msg("taken: %s", texts[i]);
}

static void test_child(void **state)
{
    (void)state;
    char first[TRACEPARENT_BYTES], again[TRACEPARENT_BYTES], other[TRACEPARENT_BYTES];
    assert_true(traceparent_child(first, parent, 7, 1));
    assert_true(traceparent_is_valid(first));
    assert_memory_equal(first, parent, 36); /* version and trace */
    assert_string_equal(first + 52, "-01");
    assert_memory_not_equal(first + 36, parent + 36, 16);
    assert_true(traceparent_child(again, parent, 7, 1));
    assert_string_equal(first, again);
    assert_true(traceparent_child(other, parent, 7, 2));
    assert_string_not_equal(first, other);
    assert_true(traceparent_child(other, parent, 8, 1));
    assert_string_not_equal(first, other);
}

static void test_child_is_of_version_00(void **state)
{
    (void)state;
    char child[TRACEPARENT_BYTES];
    assert_true(
        traceparent_child(child, "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", 7, 1));
    assert_memory_equal(child, parent, 36);
    assert_string_equal(child + 52, "-00");
    assert_false(traceparent_child(child, "x", 7, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_not_valid),
        cmocka_unit_test(test_child),
        cmocka_unit_test(test_child_is_of_version_00),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
