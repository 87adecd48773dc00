/* Addresses that a provider takes, those it does not and why, and text that stays on one line. */
#include "../address.h"
#include "../header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LABEL63 "a23456789012345678901234567890123456789012345678901234567890123"
#define LOCAL64 "a234567890123456789012345678901234567890123456789012345678901234"

static const struct {
    const char *text, *bare;
} good[] = {
    {"user@example.com", "user@example.com"},
    {"User.Name+tag@Example.COM", "User.Name+tag@example.com"},
    {"  user@example.com ", "user@example.com"},
    {"<user@example.com>", "user@example.com"},
    {"Zoë Müller <zoe@example.com>", "zoe@example.com"},
    {"Acme (Support) Inc. <a@b.co>", "a@b.co"},
    {"\"Acme, Inc. <sales>\" <a@b.co>", "a@b.co"},
    {"\"A \\\"quoted\\\" one\" <a@b.co>", "a@b.co"},
    {"\"glued\"<a@b.co>", "a@b.co"},
    {"!#$%&'*+-/=?^_`{|}~@b.co", "!#$%&'*+-/=?^_`{|}~@b.co"},
    {"a@xn--mller-kva.example", "a@xn--mller-kva.example"},
    {"a@1.2.c3", "a@1.2.c3"},
    {LOCAL64 "@b.co", LOCAL64 "@b.co"},
    {"a@" LABEL63 ".co", "a@" LABEL63 ".co"},
};

static const struct {
    const char *text, *error;
} bad[] = {
    {NULL, "recipient is empty: no address"},
    {"", "recipient is empty: no address"},
    {"   ", "recipient is empty: no address"},
    {"user", "recipient 'user' has no domain"},
    {"user@", "recipient 'user@' has no domain"},
    {"@example.com", "recipient '@example.com' has nothing before the '@'"},
    {"a@b.co, c@d.co", "recipient 'a@b.co, c@d.co' has more than one '@': one address is wanted"},
    {"user@localhost", "recipient 'user@localhost' has a domain without a dot"},
    {"u@b..co", "recipient 'u@b..co' has an empty part in its domain"},
    {"u@b.co.", "recipient 'u@b.co.' has an empty part in its domain"},
    {"u@.b.co", "recipient 'u@.b.co' has an empty part in its domain"},
    {"u@-b.co", "recipient 'u@-b.co' has a '-' at the border of a part of its domain"},
    {"u@b_c.co", "recipient 'u@b_c.co' has a character in its domain that no domain has"},
    {"u@[10.0.0.1]", "recipient 'u@[10.0.0.1]' has a character in its domain that no domain has"},
    {"u@10.0.0.1", "recipient 'u@10.0.0.1' has a number at the end of its domain"},
    {"u@münchen.de", "recipient 'u@münchen.de' has a domain outside ASCII: write it as xn--"},
    {"ü@b.co", "recipient 'ü@b.co' has a character outside ASCII before the '@'"},
    {".u@b.co", "recipient '.u@b.co' has a misplaced dot before the '@'"},
    {"u.@b.co", "recipient 'u.@b.co' has a misplaced dot before the '@'"},
    {"u..v@b.co", "recipient 'u..v@b.co' has a misplaced dot before the '@'"},
    {"Name u@b.co",
     "recipient 'Name u@b.co' has a character before the '@' that no address has there"},
    {"\"u v\"@b.co",
     "recipient '\"u v\"@b.co' has a character before the '@' that no address has there"},
    {"x" LOCAL64 "@b.co",
     "recipient 'x" LOCAL64 "@b.co' has more than 64 characters before the '@'"},
    {"u@x" LABEL63 ".co",
     "recipient 'u@x" LABEL63 ".co' has a part of more than 63 characters in its domain"},
    {"Name <u@b.co", "recipient 'Name <u@b.co' has a '<' without a '>' at its end"},
    {"Name <u@b.co> x", "recipient 'Name <u@b.co> x' has a '<' without a '>' at its end"},
    {"u@b.co>", "recipient 'u@b.co>' has a '>' without a '<'"},
    {"Name <>", "recipient 'Name <>' has no address between '<' and '>'"},
    {"Name < u@b.co>",
     "recipient 'Name < u@b.co>' has a character before the '@' that no address has there"},
    {"Acme, Inc. <a@b.co>",
     "recipient 'Acme, Inc. <a@b.co>' has a name that needs double quotes around it"},
    {"x@y.co <a@b.co>",
     "recipient 'x@y.co <a@b.co>' has a name that needs double quotes around it"},
    {"\"open <a@b.co>", "recipient '\"open <a@b.co>' has a quoted name without an end"},
    {"\"a\" b <a@b.co>", "recipient '\"a\" b <a@b.co>' has text after its quoted name"},
    {"u@b.co\r\nBcc: v@b.co",
     "recipient 'u@b.co Bcc: v@b.co' has a line break, a control character or invalid UTF-8"},
    {"N\tm <u@b.co>",
     "recipient 'N m <u@b.co>' has a line break, a control character or invalid UTF-8"},
    {"N\xC2\x85 <u@b.co>",
     "recipient 'N <u@b.co>' has a line break, a control character or invalid UTF-8"},
    {"N\xE2\x80\xA8m <u@b.co>",
     "recipient 'N m <u@b.co>' has a line break, a control character or invalid UTF-8"},
    {"N\xFF <u@b.co>",
     "recipient 'N? <u@b.co>' has a line break, a control character or invalid UTF-8"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct address address;
        struct email_error error = {""};
        char bare[ADDRESS_BARE_BYTES + 1];
        if (!address_parse(&address, good[i].text, "recipient", &error))
            fail_msg("%s", error.text);
        assert_string_equal(address.bare, good[i].bare);
        assert_true(address_normalise(good[i].text, bare, &error));
        assert_string_equal(bare, good[i].bare);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct address address;
        struct email_error error = {""};
        assert_false(address_parse(&address, bad[i].text, "recipient", &error));
        assert_string_equal(error.text, bad[i].error);
    }
}

static void test_lengths(void **state)
{
    char text[1200] = "u@";
    struct address address;
    struct email_error error;
    (void)state;
    for (int i = 0; i < 124; i++)
        strcat(text, "a.");
    strcat(text, "comm");
    assert_int_equal(strlen(text), 254);
    assert_true(address_parse(&address, text, "cc", &error));
    assert_int_equal(strlen(address.bare), 254);
    strcat(text, "m");
    assert_false(address_parse(&address, text, "cc", &error));
    assert_non_null(strstr(error.text, "' is longer than 254 characters"));
    memset(text, 'n', 1100);
    strcpy(text + 1100, " <u@b.co>");
    assert_false(address_parse(&address, text, "cc", &error));
    assert_non_null(strstr(error.text, "' is longer than 998 bytes"));
}

static void test_list(void **state)
{
    json_t *list = json_array(), *bare = json_array();
    json_t *value = json_loads("[\"A <a@B.co>\", \"c@d.co\", \"e@f.co\"]", 0, NULL);
    json_t *leave_out = json_loads("[\"c@d.co\"]", 0, NULL), *number = json_integer(1);
    struct email_error error;
    (void)state;
    assert_true(address_list_read(list, bare, value, leave_out, "cc", &error));
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "A <a@B.co>");
    assert_string_equal(json_string_value(json_array_get(bare, 0)), "a@b.co");
    assert_false(address_list_read(list, NULL, number, NULL, "cc", &error));
    assert_string_equal(error.text, "cc holds something that is no address");
    while (json_array_size(value) <= ADDRESS_MAX_LIST)
        json_array_append_new(value, json_string("a@b.co"));
    assert_false(address_list_read(list, NULL, value, NULL, "cc", &error));
    assert_string_equal(error.text, "cc has 51 addresses; at most 50 are allowed");
    json_decref(list);
    json_decref(bare);
    json_decref(value);
    json_decref(leave_out);
    json_decref(number);
}

static void test_header(void **state)
{
    struct email_error error;
    (void)state;
    assert_true(header_check("X-Entity-Ref-ID", "Zoë", &error));
    assert_true(header_check("List-Unsubscribe", "<https://a.b/c>", &error));
    assert_false(header_check("X\r\nBcc", "a", &error));
    assert_false(header_check("X Y", "a", &error));
    assert_false(header_check("X:", "a", &error));
    assert_false(header_check("", "a", &error));
    assert_false(header_check("bCC", "a", &error));
    assert_string_equal(error.text, "header 'bCC' cannot be set by hand");
    assert_false(header_check("Content-Type", "a", &error));
    assert_false(header_check("X", "a\r\nBcc: b", &error));
    assert_false(header_check("X", NULL, &error));
}

static void test_line_copy(void **state)
{
    char out[12];
    (void)state;
    email_line_copy(out, sizeof out, " a\r\n\tb  c ", 10);
    assert_string_equal(out, "a b c");
    email_line_copy(out, sizeof out, "0123456789\xC3\xA9", 12);
    assert_string_equal(out, "0123456789");
    email_line_copy(out, sizeof out, "a\xC0\x80\xED\xA0\x80\xF5z\0y", 10);
    assert_string_equal(out, "a??????z y");
    email_line_copy(out, 1, "abc", 3);
    assert_string_equal(out, "");
    email_line_copy(out, sizeof out, "", 0);
    assert_string_equal(out, "");
}

static void test_random_bytes(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 20000; round++) {
        char text[80];
        struct address address;
        struct email_error error = {""};
        size_t length = (size_t)rand() % sizeof text;
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(rand() % 4 ? "ab.@<>\" ,"[rand() % 9] : 1 + rand() % 255);
        text[length ? length - 1 : 0] = '\0';
        if (address_parse(&address, text, "to", &error)) {
            assert_true(email_line_check(address.text));
            assert_non_null(strchr(address.bare, '@'));
        } else {
            assert_true(error.text[0] && email_line_check(error.text));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_bad),
        cmocka_unit_test(test_lengths),      cmocka_unit_test(test_list),
        cmocka_unit_test(test_header),       cmocka_unit_test(test_line_copy),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
