/* histogram: quantiles of buckets that double. */
#include "cli/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* A histogram of n in each of some buckets. */
static struct histogram make(const int *buckets, size_t count, long long n)
{
    struct histogram histogram = {.total = 0};
    for (size_t i = 0; i < count; i++) {
        histogram.counts[buckets[i]] = n;
        histogram.total += n;
    }
    return histogram;
}

static void test_parse(void **state)
{
    (void)state;
    struct histogram histogram;
    const char *good = "{1,2,3,4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,90}";
    static const char *const bad[] = {
        "",
        "{}",
        "{1,2}",
        "{1,NULL,3,4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,90}",
        "{1,2,3,4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,90,1}",
        "{1,2,3,4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,-9}"};
    assert_true(histogram_parse(&histogram, good));
    assert_int_equal(histogram.total, 100);
    assert_int_equal(histogram.counts[31], 90);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(histogram_parse(&histogram, bad[i]));
}

static void test_quantiles(void **state)
{
    (void)state;
    static const int first[] = {0}, spread[] = {0, 3}, last[] = {31};
    struct histogram histogram = make(first, 0, 0);
    assert_true(histogram_quantile(&histogram, 0.5) < 0);
    histogram = make(first, 1, 10); /* below 128 us */
    assert_true(histogram_quantile(&histogram, 0.5) == 64);
    assert_true(histogram_quantile(&histogram, 1) == 128);
    histogram = make(spread, 2, 10); /* and from 512 to 1024 us */
    assert_true(histogram_quantile(&histogram, 0.5) == 128);
    assert_true(histogram_quantile(&histogram, 0.75) == 768);
    assert_true(histogram_quantile(&histogram, 1) == 1024);
    histogram = make(last, 1, 10);
    assert_true(histogram_quantile(&histogram, 0.5) == 64.0 * (1LL << 31));
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        double us;
        const char *text;
    } cases[] = {{-1, ""},          {0, "0.0ms"},       {340, "0.3ms"},    {9949, "9.9ms"},
                 {9951, "10ms"},    {999400, "999ms"},  {999600, "1.0s"},  {59.4e6, "59.4s"},
                 {59.6e6, "1m00s"}, {130.2e6, "2m10s"}, {3600e6, "1h00m"}, {11100e6, "3h05m"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[HISTOGRAM_TIME_BYTES];
        histogram_print_time(text, cases[i].us);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse),
                                       cmocka_unit_test(test_quantiles),
                                       cmocka_unit_test(test_times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
