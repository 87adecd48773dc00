/* frame: what is written is read; what is cut, stretched or made up is a fault, and nothing is read
 * past its end. */
#include "wire/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { WHAT = 7 };

static void frame_write(struct buf *buf)
{
    size_t begun = frame_begin(buf, WHAT);
    frame_int(buf, -5);
    frame_double(buf, 2.5);
    frame_bytes(buf, "a\0b", 3);
    frame_text(buf, NULL);
    frame_text(buf, "");
    frame_texts(buf, 2, (const char *const[]){"x", NULL});
    assert_true(frame_end(buf, begun));
}

/* Reads all fields; whether it was such a frame. */
static bool frame_read_all(const char *data, size_t length)
{
    struct frame_reader in;
    size_t bytes;
    bool same = frame_open(&in, data, length) == WHAT;
    same &= frame_read_int(&in) == -5;
    same &= frame_read_double(&in) == 2.5;
    const char *piece = frame_read_bytes(&in, &bytes);
    same &= bytes == 3 && memcmp(piece, "a\0b", 4) == 0;
    same &= frame_read_text(&in) == NULL;
    same &= *frame_read_present(&in) == '\0';
    size_t count = frame_read_count(&in, 10);
    for (size_t i = 0; i < count; i++)
        frame_read_text(&in);
    return same && count == 2 && frame_is_read(&in);
}

/* The part behind the length in memory of its own, so that a sanitizer sees what reads past it. */
static char *copy_of(const struct buf *buf, size_t length)
{
    char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, buf->data + FRAME_HEAD_BYTES, length);
    return copy;
}

static void test_there_and_back(void **state)
{
    struct buf buf;
    uint32_t length;
    (void)state;
    buf_init(&buf, 0);
    frame_write(&buf);
    memcpy(&length, buf.data, sizeof length);
    assert_int_equal(length, buf.length - FRAME_HEAD_BYTES);
    assert_true(frame_read_all(buf.data + FRAME_HEAD_BYTES, length));
    buf_clear(&buf);
}

static void test_cut_anywhere(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 0);
    frame_write(&buf);
    for (size_t length = 0; length < buf.length - FRAME_HEAD_BYTES; length++) {
        char *copy = copy_of(&buf, length);
        assert_false(frame_read_all(copy, length));
        free(copy);
    }
    buf_add(&buf, "x", 1);
    assert_false(frame_read_all(buf.data + FRAME_HEAD_BYTES, buf.length - FRAME_HEAD_BYTES));
    buf_clear(&buf);
}

static void test_any_byte_may_be_another(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 0);
    frame_write(&buf);
    size_t length = buf.length - FRAME_HEAD_BYTES;
    for (size_t at = 0; at < length; at++)
        for (int value = 0; value < 256; value += 15) {
            char *copy = copy_of(&buf, length);
            copy[at] = (char)value;
            frame_read_all(copy, length);
            free(copy);
        }
    buf_clear(&buf);
}

static void test_lengths_that_are_none(void **state)
{
    static const int64_t lengths[] = {-2, INT64_MIN, INT64_MAX, 1, 2, 1 << 20};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct frame_reader in = {0};
        struct buf buf;
        size_t bytes;
        buf_init(&buf, 0);
        frame_int(&buf, lengths[i]);
        buf_add(&buf, "", 1);
        in = (struct frame_reader){.at = buf.data, .end = buf.data + buf.length};
        assert_string_equal(frame_read_bytes(&in, &bytes), "");
        assert_true(in.failed && bytes == 0);
        assert_int_equal(frame_read_int(&in), 0);
        in = (struct frame_reader){.at = buf.data, .end = buf.data + buf.length};
        assert_null(frame_read_text(&in));
        assert_true(in.failed);
        buf_clear(&buf);
    }
}

static void test_text_with_a_nul_is_none(void **state)
{
    struct frame_reader in;
    struct buf buf;
    (void)state;
    buf_init(&buf, 0);
    frame_bytes(&buf, "a\0b", 3);
    in = (struct frame_reader){.at = buf.data, .end = buf.data + buf.length};
    assert_null(frame_read_text(&in));
    assert_true(in.failed);
    buf_clear(&buf);
}

static void test_count_past_its_bound(void **state)
{
    struct frame_reader in;
    struct buf buf;
    (void)state;
    buf_init(&buf, 0);
    frame_int(&buf, 11);
    in = (struct frame_reader){.at = buf.data, .end = buf.data + buf.length};
    assert_int_equal(frame_read_count(&in, 10), 0);
    assert_true(in.failed);
    buf_clear(&buf);
}

static void test_too_large_is_taken_back(void **state)
{
    struct buf buf;
    char *large = calloc(1, FRAME_MAX_BYTES);
    (void)state;
    assert_non_null(large);
    buf_init(&buf, 0);
    buf_add(&buf, "before", 6);
    size_t begun = frame_begin(&buf, WHAT);
    frame_bytes(&buf, large, FRAME_MAX_BYTES);
    assert_false(frame_end(&buf, begun));
    assert_int_equal(buf.length, 6);
    buf_clear(&buf);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_any_byte_may_be_another),
        cmocka_unit_test(test_lengths_that_are_none),
        cmocka_unit_test(test_text_with_a_nul_is_none),
        cmocka_unit_test(test_count_past_its_bound),
        cmocka_unit_test(test_too_large_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
