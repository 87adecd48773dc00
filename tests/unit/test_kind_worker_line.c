/* line_feed and worker_line: how bytes become lines, and what the lines of a worker mean. */
#include "kind/line_feed.h"
#include "kind/worker_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void on_line(void *owner, const char *text, size_t length, bool is_cut)
{
    struct buf *said = owner;
    buf_printf(said, "<%.*s%s>", (int)length, text, is_cut ? "!" : "");
}

/* Lines of at most 5 bytes, of text that comes in pieces of so many. */
static void check_feed(const char *text, size_t piece, const char *expected)
{
    struct buf said;
    struct line_feed feed;
    buf_init(&said, 0);
    line_feed_init(&feed, 5, on_line, &said);
    for (size_t at = 0, length = strlen(text); at < length; at += piece)
        line_feed_take(&feed, text + at, length - at < piece ? length - at : piece);
    line_feed_end(&feed);
    assert_string_equal(buf_text(&said), expected);
    line_feed_clear(&feed);
    buf_clear(&said);
}

static void test_feed(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 30; piece++) {
        check_feed("", piece, "");
        check_feed("a\n\nbc\nd", piece, "<a><><bc><d>");
        check_feed("12345\n123456\n1\n1234567", piece, "<12345><12345!><1><12345!>");
    }
}

static void test_id_of_what_is_no_json(void **state)
{
    static const struct {
        const char *text;
        int64_t id; /* -1: none */
    } cases[] = {{"{\"id\": 12, oops", 12},
                 {"x\"id\":7", 7},
                 {"{\"id\": \"7\"}", -1},
                 {"oops", -1},
                 {"", -1},
                 {"{\"id\"", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t id = -1;
        assert_int_equal(worker_line_find_id(cases[i].text, strlen(cases[i].text), &id),
                         cases[i].id >= 0);
        if (cases[i].id >= 0)
            assert_int_equal(id, cases[i].id);
    }
}

static bool is_right(const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    assert_non_null(line);
    bool right = !worker_line_fault(line);
    json_decref(line);
    return right;
}

static void test_fault(void **state)
{
    (void)state;
    assert_true(is_right("{}"));
    assert_true(is_right("{\"id\": 1, \"outcome\": \"done\", \"error\": null, \"class\": null}"));
    assert_true(is_right("{\"id\": 1, \"outcome\": \"retry\", \"delay_ms\": 0}"));
    assert_false(is_right("{\"id\": 1, \"outcome\": \"Done\"}"));
    assert_false(is_right("{\"id\": 1, \"outcome\": null}"));
    assert_false(is_right("{\"id\": 1, \"outcome\": \"retry\", \"delay_ms\": -1}"));
    assert_false(is_right("{\"id\": 1, \"outcome\": \"retry\", \"delay_ms\": 1.5}"));
    assert_true(is_right("{\"id\": 1, \"outcome\": \"snooze\", \"delay_ms\": 315360000000}"));
    assert_false(is_right("{\"id\": 1, \"outcome\": \"snooze\", \"delay_ms\": 315360000001}"));
    assert_false(is_right("{\"id\": 1, \"outcome\": \"fail\", \"error\": {}}"));
    assert_false(is_right("{\"id\": 1, \"log\": 1}"));
    assert_false(is_right("{\"id\": \"1\", \"outcome\": \"done\"}"));
    assert_false(is_right("{\"id\": 1, \"outcom\": \"done\"}"));
    assert_true(is_right("{\"id\": 1, \"heartbeat\": true}"));
    assert_true(is_right("{\"id\": 1, \"progress\": null}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feed),
        cmocka_unit_test(test_id_of_what_is_no_json),
        cmocka_unit_test(test_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
