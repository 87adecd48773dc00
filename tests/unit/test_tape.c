/* tape: recorded answers, as they are written in a file, and which of them a request gets. */
#include "trial/tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void check_refused(const char *text, const char *wanted)
{
    struct tape tape;
    struct err err = {0};
    assert_false(tape_parse(&tape, text, "a.json", &err));
    if (!strstr(err.text, wanted))
        fail_msg("%s: '%s' does not say '%s'", text, err.text, wanted);
}

static void test_refused(void **state)
{
    (void)state;
    check_refused("", "a.json:1: ");
    check_refused("[{\n]", "a.json:2: ");
    check_refused("{}", "a.json: it is no array");
    check_refused("[1]", "answer 1: match.url is missing");
    check_refused("[{\"match\": {\"url\": \"a\"}}, {}]", "answer 2: match.url is missing");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"state\": 1}]",
                  "answer 1: 'state' is no member");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"status\": 100}]", "status is not 200 to 599");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"status\": \"200\"}]",
                  "status is not 200 to 599");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"delay_ms\": -1}]", "delay_ms");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"body\": {}}]", "body is no text");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"body_hex\": \"abc\"}]", "body_hex");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"body_hex\": \"xy\"}]", "body_hex");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"headers\": []}]", "headers is no object");
    check_refused("[{\"match\": {\"url\": \"a\"}, \"headers\": {\"a\": \"b\\r\\nc: d\"}}]",
                  "one line");
}

static void check_taken(struct tape *tape, const char *method, const char *url, size_t wanted)
{
    size_t number = 0;
    const json_t *answer = tape_take(tape, method, url, &number);
    assert_int_equal(answer ? number : 0, wanted);
}

static void test_taken_in_order(void **state)
{
    (void)state;
    struct tape tape;
    struct err err = {0};
    assert_true(tape_parse(&tape,
                           "[{\"match\": {\"url\": \"http://a/*\", \"method\": \"POST\"}},"
                           " {\"match\": {\"url\": \"http://a/b\"}},"
                           " {\"match\": {\"url\": \"http://a/*\"}},"
                           " {\"match\": {\"url\": \"http://r\"}, \"repeat\": true}]",
                           "a.json", &err));
    assert_int_equal(tape_left(&tape), 3);
    check_taken(&tape, "GET", "http://a/b", 2);
    check_taken(&tape, "GET", "http://a/b", 3);
    check_taken(&tape, "GET", "http://a/b", 0);
    check_taken(&tape, "POST", "http://a", 0);
    check_taken(&tape, "post", "http://a/", 0);
    check_taken(&tape, "POST", "http://a/", 1);
    check_taken(&tape, "GET", "http://r", 4);
    check_taken(&tape, "GET", "http://r", 4);
    check_taken(&tape, "GET", "http://r/", 0);
    assert_int_equal(tape_left(&tape), 0);
    tape_clear(&tape);
}

static void check_body(const char *answer, const char *wanted, size_t wanted_length)
{
    size_t length;
    json_t *parsed = json_loads(answer, 0, NULL);
    char *body = tape_body(parsed, &length);
    assert_int_equal(length, wanted_length);
    assert_memory_equal(body, wanted, length + 1);
    free(body);
    json_decref(parsed);
}

static void test_bodies(void **state)
{
    (void)state;
    check_body("{}", "", 0);
    check_body("{\"body\": \"\\u00e4\"}", "\xc3\xa4", 2);
    check_body("{\"json\": {\"a\": [1]}}", "{\"a\":[1]}", 9);
    check_body("{\"json\": 1}", "1", 1);
    check_body("{\"body_hex\": \"00fF\"}", "\0\xff", 2);
}

static void check_recorded(const char *body, size_t length)
{
    json_t *answer = tape_record("GET", "http://a", 201, json_object(), body, length), *list;
    struct tape tape;
    struct err err = {0};
    size_t number, played_length;
    list = json_pack("[o]", answer);
    char *text = json_dumps(list, 0);
    json_decref(list);
    assert_true(tape_parse(&tape, text, "a.json", &err));
    char *played = tape_body(tape_take(&tape, "GET", "http://a", &number), &played_length);
    assert_int_equal(played_length, length);
    assert_memory_equal(played, body, length);
    free(played);
    free(text);
    tape_clear(&tape);
}

static void test_what_is_recorded_is_played(void **state)
{
    (void)state;
    check_recorded("", 0);
    check_recorded("text \xc3\xa4 \"\\", 10);
    check_recorded("\0\xff\x80", 3);
    check_recorded("with \0 inside", 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_taken_in_order),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_what_is_recorded_is_played),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
