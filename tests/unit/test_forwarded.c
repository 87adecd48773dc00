/* origin and forwarded: whose address a request has, when proxies we trust, proxies we do not, and
 * clients that make things up have written into its head. */
#include "httpd/crowd.h"
#include "httpd/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static struct origin_list trusted;

static int set_up(void **state)
{
    struct err err = {0};
    (void)state;
    assert_true(origin_list_parse(&trusted, "127.0.0.1, 10.0.0.0/8,2001:db8:1::/48,unix", &err));
    return 0;
}

static struct origin origin(const char *text)
{
    struct origin found = {0};
    if (strcmp(text, "unix") != 0)
        assert_true(origin_parse(&found, text, strlen(text)));
    return found;
}

static void check(enum forwarded_header header, const char *fields, const char *expected)
{
    char head[1024], text[ORIGIN_TEXT_BYTES];
    struct origin client = origin("127.0.0.1");
    snprintf(head, sizeof head, "POST /x HTTP/1.1\r\nHost: a\r\n%s\r\n%s", fields,
             "X-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\n\r\n");
    forwarded_client(head, strlen(head), header, &trusted, &client);
    origin_text(&client, text);
    assert_string_equal(text, expected);
}

static void test_x_forwarded_for(void **state)
{
    (void)state;
    check(FORWARDED_X_FOR, "", "127.0.0.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1");
    check(FORWARDED_X_FOR, "x-forwarded-for:192.0.2.1:4711 \r\n", "192.0.2.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\n", "192.0.2.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 1.1.1.1, 192.0.2.1,10.1.2.3, 127.0.0.1\r\n",
          "192.0.2.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 192.0.2.1\r\n",
          "192.0.2.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 2001:db8:1::5\r\n", "2001:db8:1::5");
    check(FORWARDED_X_FOR, "X-Forwarded-For: [2001:db8:2::5]:80, 2001:db8:1::1\r\n",
          "2001:db8:2::5");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 1.1.1.1, unknown\r\n", "127.0.0.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 1.1.1.1, , 10.0.0.1\r\n", "10.0.0.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For: 1.1.1.1.1\r\n", "127.0.0.1");
    check(FORWARDED_X_FOR, "X-Forwarded-For:\r\n", "127.0.0.1");
    check(FORWARDED_X_FOR, "Forwarded: for=192.0.2.1\r\n", "127.0.0.1");
    check(FORWARDED_X_FOR, "X-Forwarded-Foreign: 192.0.2.1\r\n", "127.0.0.1");
}

static void test_forwarded(void **state)
{
    (void)state;
    check(FORWARDED_RFC, "Forwarded: for=192.0.2.1;proto=https\r\n", "192.0.2.1");
    check(FORWARDED_RFC, "Forwarded: by=10.0.0.1; For=\"[2001:db8:2::1]:4711\"\r\n",
          "2001:db8:2::1");
    check(FORWARDED_RFC, "Forwarded: for=1.1.1.1, for=\"192.0.2.1:80\" , for=10.0.0.3\r\n",
          "192.0.2.1");
    check(FORWARDED_RFC, "Forwarded: for=192.0.2.1;x=\"a,for=1.1.1.1;b\"\r\n", "192.0.2.1");
    check(FORWARDED_RFC, "Forwarded: for=1.1.1.1, for=_hidden\r\n", "127.0.0.1");
    check(FORWARDED_RFC, "Forwarded: proto=https\r\n", "127.0.0.1");
    check(FORWARDED_RFC, "X-Forwarded-For: 192.0.2.1\r\n", "127.0.0.1");
}

static void test_a_list_without_end(void **state)
{
    char fields[800] = "X-Forwarded-For: 8.8.8.8";
    (void)state;
    for (int i = 0; i < 60; i++)
        strcat(fields, ",10.0.0.1");
    strcat(fields, "\r\n");
    check(FORWARDED_X_FOR, fields, "10.0.0.1");
}

static void test_lists(void **state)
{
    struct err err = {0};
    struct origin_list list;
    static const char *const wrong[] = {"10.0.0.0/33", "10.0.0.0/",   "10.0.0/8",   "::1/129",
                                        "localhost",   "10.0.0.1/-1", "1.2.3.4/8x", "[::1]"};
    static const struct {
        const char *spec, *address;
        bool has;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::/33", "2001:db8:7000::1", true},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"unix", "unix", true},
        {"0.0.0.0/0,::/0", "unix", false},
        {"", "127.0.0.1", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(origin_list_parse(&list, wrong[i], &err));
        assert_non_null(strstr(err.text, "is no address"));
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct origin address = origin(cases[i].address);
        assert_true(origin_list_parse(&list, cases[i].spec, &err));
        assert_int_equal(origin_list_has(&list, &address), cases[i].has);
    }
}

static void test_counts(void **state)
{
    struct crowd crowd = {0};
    struct crowd_member *members[5];
    static const char *const texts[] = {"1.2.3.4", "1.2.3.4", "1.2.3.5", "2001:db8::1",
                                        "2001:db8::ffff:1"};
    static const size_t counts[] = {1, 2, 1, 1, 2};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct origin address = origin(texts[i]);
        assert_int_equal(crowd_join(&crowd, &address, &members[i]), counts[i]);
    }
    for (size_t i = 0; i < 5; i++)
        crowd_leave(&crowd, members[i]);
    crowd_leave(&crowd, NULL);
    assert_null(crowd.members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x_forwarded_for),
        cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_a_list_without_end),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
