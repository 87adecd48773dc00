/* Rate headers and retry-after, in every form they come in. */
#include "../rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const int64_t now_s = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */

static const struct {
    const char *value;
    int64_t wait_ms;
} waits[] = {
    {NULL, RATE_UNKNOWN},
    {"", RATE_UNKNOWN},
    {"soon", RATE_UNKNOWN},
    {"-1", RATE_UNKNOWN},
    {"1x", RATE_UNKNOWN},
    {".5", RATE_UNKNOWN},
    {"0", 0},
    {" 2 ", 2000},
    {"1.5", 1500},
    {"0.0001", 1},
    {"0.2", 200},
    {"86401", RATE_MAX_WAIT_MS},
    {"99999999999999999999999999", RATE_MAX_WAIT_MS},
    {"Sun, 06 Nov 1994 08:49:40 GMT", 3000},
    {"Sunday, 06-Nov-94 08:49:40 GMT", 3000},
    {"Sun Nov  6 08:49:40 1994", 3000},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
    {"Sun, 06 Nov 1994 08:00:00 GMT", 0},
    {"Wed, 01 Mar 2000 00:00:00 GMT", RATE_MAX_WAIT_MS},
    {"Sunday, 06-Nov-44 08:49:40 GMT", RATE_MAX_WAIT_MS}, /* 2044: not more than 50 years ahead */
    {"Sunday, 06-Nov-45 08:49:40 GMT", RATE_UNKNOWN},     /* 1945 */
    {"Sun, 32 Nov 1994 08:49:40 GMT", RATE_UNKNOWN},
    {"Sun, 06 Nox 1994 08:49:40 GMT", RATE_UNKNOWN},
    {"Sun, 06 Nov 1994 24:49:40 GMT", RATE_UNKNOWN},
    {"Sun, 06 Nov 1994 08:49:40 CET", RATE_UNKNOWN},
    {"Sun, 06 Nov 1994 08:49:40 GMT+1", RATE_UNKNOWN},
    {"Sun, -6 Nov 1994 08:49:40 GMT", RATE_UNKNOWN},
};

static void test_wait(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
        if (rate_wait_ms(waits[i].value, now_s) != waits[i].wait_ms)
            fail_msg("'%s' is %lld", waits[i].value ? waits[i].value : "(null)",
                     (long long)rate_wait_ms(waits[i].value, now_s));
}

static void test_dates(void **state)
{
    (void)state;
    assert_int_equal(rate_wait_ms("Tue, 29 Feb 2028 12:00:01 GMT", 1835438400), 1000);
    assert_int_equal(rate_wait_ms("Thu, 01 Jan 1970 00:00:09 GMT", 0), 9000);
    assert_int_equal(rate_wait_ms("Sat, 31 Dec 2016 23:59:60 GMT", 1483228799), 1000);
}

static void test_read(void **state)
{
    struct rate rate;
    (void)state;
    rate_read(&rate, "10", "0", "1");
    assert_int_equal(rate.limit, 10);
    assert_int_equal(rate.remaining, 0);
    assert_int_equal(rate.reset_ms, 1000);
    rate_read(&rate, "10, 10;w=1", " 9;x", "0.25");
    assert_int_equal(rate.limit, 10);
    assert_int_equal(rate.remaining, 9);
    assert_int_equal(rate.reset_ms, 250);
    rate_read(&rate, NULL, "-3", "never");
    assert_int_equal(rate.limit, RATE_UNKNOWN);
    assert_int_equal(rate.remaining, RATE_UNKNOWN);
    assert_int_equal(rate.reset_ms, RATE_UNKNOWN);
    rate_read(&rate, "18446744073709551617", "12e3", "1e9");
    assert_int_equal(rate.limit, RATE_MAX_COUNT);
    assert_int_equal(rate.remaining, RATE_UNKNOWN);
}

static void test_random_bytes(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 20000; round++) {
        char text[40];
        size_t length = (size_t)rand() % (sizeof text - 1);
        for (size_t i = 0; i < length; i++)
            text[i] =
                (char)(rand() % 5 ? "0123456789 .:,-SunNovGMT"[rand() % 24] : 1 + rand() % 255);
        text[length] = '\0';
        int64_t wait_ms = rate_wait_ms(text, now_s);
        assert_true(wait_ms >= RATE_UNKNOWN && wait_ms <= RATE_MAX_WAIT_MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
