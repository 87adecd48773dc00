/* str: characters, escapes, and the nearest name. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
        uint32_t character;
    } cases[] = {
        {"a", 1, 'a'},
        {"\xC3\xA9", 2, 0xE9},
        {"\xE2\x82\xAC", 3, 0x20AC},
        {"\xF0\x9F\x93\xA7", 4, 0x1F4E7},
        {"\xF4\x8F\xBF\xBF", 4, 0x10FFFF},
        {"\xF4\x90\x80\x80", 1, STR_REPLACEMENT}, /* past the end */
        {"\x80", 1, STR_REPLACEMENT},
        {"\xC3", 1, STR_REPLACEMENT},
        {"\xC3(", 1, STR_REPLACEMENT},
        {"\xC0\x80", 1, STR_REPLACEMENT},     /* overlong */
        {"\xE0\x80\x80", 1, STR_REPLACEMENT}, /* overlong */
        {"\xED\xA0\x80", 1, STR_REPLACEMENT}, /* surrogate */
        {"\xFF", 1, STR_REPLACEMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t character;
        assert_int_equal(str_character(cases[i].text, strlen(cases[i].text), &character),
                         cases[i].bytes);
        assert_int_equal(character, cases[i].character);
    }
}

static void test_printable(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    str_printable(&buf, "a\tb\nc \x1B[2J \xC2\x9B \xFF caf\xC3\xA9 \"quoted\\\"");
    assert_string_equal(buf_text(&buf),
                        "a b c \xEF\xBF\xBD[2J \xEF\xBF\xBD \xEF\xBF\xBD caf\xC3\xA9 \"quoted\\\"");
    buf_clear(&buf);
}

static void test_width(void **state)
{
    (void)state;
    assert_int_equal(str_width(""), 0);
    assert_int_equal(str_width("caf\xC3\xA9"), 4);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"concurrency", "queues", "listen", "log_level",
                                        "log_format"};
    assert_string_equal(str_nearest("conncurrency", names, 5), "concurrency");
    assert_string_equal(str_nearest("queue", names, 5), "queues");
    assert_string_equal(str_nearest("lisetn", names, 5), "listen");
    assert_string_equal(str_nearest("loglevel", names, 5), "log_level");
    assert_null(str_nearest("zebra", names, 5));
    assert_null(str_nearest("", names, 5));
    assert_null(str_nearest("x", names, 0));
    static const char *const equals[] = {"stats", "status", "queue list", "queue limit"};
    assert_string_equal(str_nearest("stauts", equals, 4), "status");
    assert_string_equal(str_nearest("stat", equals, 4), "stats");
    assert_string_equal(str_nearest("queue limt", equals, 4), "queue limit");
    char huge[200];
    memset(huge, 'q', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_null(str_nearest(huge, names, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_printable),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
