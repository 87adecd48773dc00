/* Segments of the spool: whatever is cut off or changed in one, all other records come back. */
#include "web/event.h"
#include "web/segment.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { RECORDS = 5 };

/* Payloads of 0, 1, 301, 602 and 903 bytes, with each other's magic in them. */
static void payload_fill(struct buf *payload, size_t n)
{
    buf_reset(payload);
    for (size_t i = 0; i < n * 301 - (n == 1 ? 300 : 0); i++)
        buf_add_char(payload, "ERW1\0"[(i + n) % 5]);
}

static void records_fill(struct buf *records)
{
    struct buf payload;
    buf_init(&payload, 0);
    for (size_t n = 0; n < RECORDS; n++) {
        payload_fill(&payload, n);
        segment_frame(records, &payload);
    }
    buf_clear(&payload);
}

/* How many come back, in their order, each as it was. */
static size_t records_count(const struct buf *content, size_t *skipped)
{
    size_t at = 0, length, count = 0, n = 0;
    struct buf payload;
    buf_init(&payload, 0);
    *skipped = 0;
    for (const char *data; (data = segment_next(content, &at, &length, skipped)); count++) {
        do {
            assert_true(n < RECORDS);
            payload_fill(&payload, n++);
        } while (payload.length != length || memcmp(buf_text(&payload), data, length) != 0);
    }
    buf_clear(&payload);
    return count;
}

static void test_whole(void **state)
{
    struct buf records;
    size_t skipped;
    (void)state;
    buf_init(&records, 0);
    records_fill(&records);
    assert_int_equal(records_count(&records, &skipped), RECORDS);
    assert_int_equal(skipped, 0);
    buf_clear(&records);
}

static void test_cut_anywhere(void **state)
{
    struct buf records;
    size_t skipped, before = 0;
    (void)state;
    buf_init(&records, 0);
    records_fill(&records);
    size_t whole = records.length;
    for (records.length = 0; records.length <= whole; records.length++) {
        size_t count = records_count(&records, &skipped);
        assert_in_range(count, before, before + 1);
        before = count;
    }
    assert_int_equal(before, RECORDS);
    buf_clear(&records);
}

static void test_any_byte_changed(void **state)
{
    struct buf records;
    size_t skipped;
    (void)state;
    buf_init(&records, 0);
    records_fill(&records);
    for (size_t i = 0; i < records.length; i++) {
        records.data[i] ^= 0x20;
        assert_int_equal(records_count(&records, &skipped), RECORDS - 1);
        assert_true(skipped > 0);
        records.data[i] ^= 0x20;
    }
    buf_clear(&records);
}

/* ---- Files ---- */

static int directory_make(char *path)
{
    int directory;
    struct err err;
    strcpy(path, "/tmp/errand-segment-XXXXXX");
    assert_non_null(mkdtemp(path));
    strcat(path, "/webhooks");
    assert_true(segment_open_directory(path, &directory, &err));
    return directory;
}

static void directory_remove(int directory, char *path)
{
    close(directory);
    assert_int_equal(rmdir(path), 0); /* nothing was left in it */
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
}

static void test_oldest_first_and_none_that_is_held(void **state)
{
    char path[64];
    struct err err;
    struct buf records, content;
    struct segment first, second, taken, none;
    int directory = directory_make(path);
    (void)state;
    buf_init(&records, 0);
    records_fill(&records);
    assert_true(segment_create(&first, directory, &err));
    assert_true(segment_append(&first, &records, &err));
    assert_true(segment_create(&second, directory, &err));
    assert_false(segment_take_oldest(&taken, directory, "", &content, &err)); /* both are written */
    assert_int_equal(err.code, ERR_NONE);
    segment_close(&second);
    segment_close(&first);
    assert_int_equal(segment_total(directory).bytes, records.length);
    assert_int_equal(segment_total(directory).files, 2);
    assert_true(segment_take_oldest(&taken, directory, "", &content, &err));
    assert_string_equal(taken.name, first.name);
    assert_int_equal(content.length, records.length);
    buf_clear(&content);
    assert_true(segment_take_oldest(&none, directory, "", &content, &err)); /* the other one */
    assert_string_equal(none.name, second.name);
    buf_clear(&content);
    segment_close(&none);
    assert_true(segment_take_oldest(&none, directory, "0", &content, &err)); /* not the held one */
    assert_string_equal(none.name, second.name);
    buf_clear(&content);
    assert_true(segment_remove(&none, &err));
    segment_close(&taken); /* not removed: there for the next one */
    assert_true(segment_take_oldest(&taken, directory, "", &content, &err));
    assert_string_equal(taken.name, first.name);
    buf_clear(&content);
    segment_close(&taken);
    assert_false(segment_take_oldest(&none, directory, first.name, &content, &err));
    assert_true(segment_take_oldest(&taken, directory, "0", &content, &err));
    buf_clear(&content);
    assert_true(segment_remove(&taken, &err));
    buf_clear(&records);
    directory_remove(directory, path);
}

/* The name cannot be removed, as where the directory's permissions have changed. */
static void test_what_cannot_be_removed_is_emptied(void **state)
{
    char path[64];
    struct err err;
    struct buf records;
    struct segment segment;
    struct stat status;
    int directory = directory_make(path);
    (void)state;
    buf_init(&records, 0);
    records_fill(&records);
    assert_true(segment_create(&segment, directory, &err));
    assert_true(segment_append(&segment, &records, &err));
    int file = dup(segment.file);
    assert_int_equal(unlinkat(directory, segment.name, 0), 0);
    assert_int_equal(mkdirat(directory, segment.name, 0700), 0);
    assert_false(segment_remove(&segment, &err));
    assert_int_equal(fstat(file, &status), 0);
    assert_int_equal(status.st_size, 0);
    close(file);
    assert_int_equal(unlinkat(directory, segment.name, AT_REMOVEDIR), 0);
    buf_clear(&records);
    directory_remove(directory, path);
}

static void test_a_write_that_fails_is_told(void **state)
{
    char path[64];
    struct err err;
    struct buf records;
    struct segment segment;
    int directory = directory_make(path);
    (void)state;
    buf_init(&records, 0);
    records_fill(&records);
    assert_true(segment_create(&segment, directory, &err));
    int file = segment.file;
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    segment.file = fileno(full);
    assert_false(segment_append(&segment, &records, &err));
    assert_non_null(strstr(err.text, "No space left on device"));
    assert_int_equal(segment.bytes, 0);
    segment.file = file;
    assert_true(segment_remove(&segment, &err));
    fclose(full);
    buf_clear(&records);
    directory_remove(directory, path);
}

/* ---- Events ---- */

static void test_event_as_bytes(void **state)
{
    static const struct source source = {.name = "shop", .kind = "shop.order", .queue = "orders"};
    struct event event = {
        .source = &source, .body = "a\0b", .length = 3, .received_us = 1700000000000001};
    struct event other = {0};
    struct source from;
    struct buf bytes;
    (void)state;
    buf_init(&bytes, 0);
    buf_add_text(&event.headers, "{\"a\": 1}");
    event_set_id(&event, "msg_1");
    event_pack(&event, &bytes);
    assert_true(event_unpack(&other, &from, bytes.data, bytes.length));
    assert_string_equal(from.name, "shop");
    assert_string_equal(from.kind, "shop.order");
    assert_string_equal(from.queue, "orders");
    assert_string_equal(other.id, "msg_1");
    assert_string_equal(other.type, "");
    assert_string_equal(buf_text(&other.headers), "{\"a\": 1}");
    assert_true(other.received_us == event.received_us);
    assert_int_equal(other.length, 3);
    assert_memory_equal(other.body, "a\0b", 3);
    buf_clear(&other.headers);
    for (size_t length = 0; length < bytes.length; length++) {
        char *copy = malloc(length ? length : 1); /* for the sanitizer to see its end */
        memcpy(copy, bytes.data, length);
        assert_false(event_unpack(&other, &from, copy, length));
        free(copy);
    }
    buf_clear(&bytes);
    buf_clear(&event.headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_any_byte_changed),
        cmocka_unit_test(test_oldest_first_and_none_that_is_held),
        cmocka_unit_test(test_what_cannot_be_removed_is_emptied),
        cmocka_unit_test(test_a_write_that_fails_is_told),
        cmocka_unit_test(test_event_as_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
