/* buf: growth, maximum, stealing, and PostgreSQL array literals. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void test_empty_is_a_text(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    assert_string_equal(buf_text(&buf), "");
    char *stolen = buf_steal(&buf);
    assert_string_equal(stolen, "");
    free(stolen);
    buf_reset(&buf);
    buf_clear(&buf);
}

static void test_growth_keeps_what_stands(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    for (int i = 0; i < 10000; i++)
        assert_true(buf_printf(&buf, "%04d,", i));
    assert_int_equal(buf.length, 50000);
    assert_int_equal(strlen(buf.data), 50000);
    assert_memory_equal(buf.data + 5 * 7777, "7777,", 5);
    buf_clear(&buf);
    assert_null(buf.data);
}

static void test_maximum_adds_nothing(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    assert_true(buf_add_text(&buf, "12345678"));
    assert_false(buf_add_char(&buf, '9'));
    assert_false(buf_printf(&buf, "%d", 9));
    assert_false(buf_add(&buf, "", SIZE_MAX));
    assert_string_equal(buf_text(&buf), "12345678");
    buf_reset(&buf);
    assert_true(buf_add_text(&buf, "again"));
    assert_string_equal(buf_text(&buf), "again");
    buf_clear(&buf);
    assert_int_equal(buf.max_bytes, 8);
}

static void test_bytes_with_nul(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    assert_true(buf_add(&buf, "a\0b", 3));
    assert_true(buf_add(&buf, NULL, 0));
    assert_int_equal(buf.length, 3);
    assert_memory_equal(buf.data, "a\0b", 4);
    buf_clear(&buf);
}

static void test_steal_leaves_it_empty(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    buf_add_text(&buf, "mine");
    char *stolen = buf_steal(&buf);
    assert_string_equal(stolen, "mine");
    assert_string_equal(buf_text(&buf), "");
    free(stolen);
    buf_clear(&buf);
}

static void test_arrays(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    buf_array_open(&buf);
    buf_array_close(&buf);
    assert_string_equal(buf_text(&buf), "{}");
    buf_array_open(&buf);
    buf_array_text(&buf, "plain");
    buf_array_text(&buf, "");
    buf_array_text(&buf, NULL);
    buf_array_text(&buf, "NULL");
    buf_array_text(&buf, "a\"b\\c,{}");
    buf_array_close(&buf);
    assert_string_equal(buf_text(&buf), "{\"plain\",\"\",NULL,\"NULL\",\"a\\\"b\\\\c,{}\"}");
    buf_array_open(&buf);
    buf_array_int(&buf, 0);
    buf_array_int(&buf, -1);
    buf_array_int(&buf, LLONG_MAX);
    buf_array_int(&buf, LLONG_MIN);
    buf_array_close(&buf);
    assert_string_equal(buf_text(&buf), "{0,-1,9223372036854775807,-9223372036854775808}");
    buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_is_a_text),
        cmocka_unit_test(test_growth_keeps_what_stands),
        cmocka_unit_test(test_maximum_adds_nothing),
        cmocka_unit_test(test_bytes_with_nul),
        cmocka_unit_test(test_steal_leaves_it_empty),
        cmocka_unit_test(test_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
