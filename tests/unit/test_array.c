/* array: the bytes of PostgreSQL's binary arrays. That the server reads them so the tests with a
 * server show. */
#include "db/array.h"
#include "db/unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void check(const struct buf *buf, const char *bytes, size_t length)
{
    assert_int_equal(buf->length, length);
    assert_memory_equal(buf->data, bytes, length);
}

#define CHECK(buf, bytes) check(buf, bytes, sizeof bytes - 1)

static void test_elements(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    db_array_open(&buf, DB_INT8, 2);
    db_array_int(&buf, DB_INT8, INT64_MAX);
    db_array_int(&buf, DB_INT8, -2);
    CHECK(&buf, "\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0\2\0\0\0\1"
                "\0\0\0\x8\x7f\xff\xff\xff\xff\xff\xff\xff"
                "\0\0\0\x8\xff\xff\xff\xff\xff\xff\xff\xfe");
    db_array_open(&buf, DB_INT4, 1);
    db_array_int(&buf, DB_INT4, 0x1020304);
    CHECK(&buf, "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\4\1\2\3\4");
    db_array_open(&buf, DB_INT2, 1);
    db_array_int(&buf, DB_INT2, -1);
    CHECK(&buf, "\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\1\0\0\0\1\0\0\0\2\xff\xff");
    buf_clear(&buf);
}

static void test_bytes_and_texts(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    db_array_open(&buf, DB_BYTEA, 2);
    db_array_bytes(&buf, "a\0b", 3);
    db_array_bytes(&buf, "", 0);
    CHECK(&buf, "\0\0\0\1\0\0\0\0\0\0\0\x11\0\0\0\2\0\0\0\1\0\0\0\3a\0b\0\0\0\0");
    db_array_open(&buf, DB_TEXT, 2);
    db_array_text(&buf, NULL);
    db_array_text(&buf, "hi");
    CHECK(&buf, "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1\xff\xff\xff\xff\0\0\0\2hi");
    buf_clear(&buf);
}

static void test_null_and_none(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    db_array_open(&buf, DB_INT8, 1);
    db_array_null(&buf);
    CHECK(&buf, "\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0\1\0\0\0\1\xff\xff\xff\xff");
    db_array_open(&buf, DB_INT8, 0);
    CHECK(&buf, "\0\0\0\0\0\0\0\0\0\0\0\x14");
    buf_clear(&buf);
}

static void test_times(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    db_array_open(&buf, DB_TIMESTAMPTZ, 1);
    db_array_int(&buf, DB_TIMESTAMPTZ, DB_EPOCH_US + 1);
    CHECK(&buf, "\0\0\0\1\0\0\0\0\0\0\4\xa0\0\0\0\1\0\0\0\1\0\0\0\x8\0\0\0\0\0\0\0\1");
    buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_bytes_and_texts),
        cmocka_unit_test(test_null_and_none),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
