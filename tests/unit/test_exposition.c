/* exposition: Prometheus' text format, to the byte. */
#include "web/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(struct buf *buf, const char *wanted)
{
    assert_string_equal(buf_text(buf), wanted);
    buf_clear(buf);
}

static void test_samples(void **state)
{
    struct buf buf;
    struct exposition to = {.buf = &buf};
    const struct exposition_labels labels = {{{"a", "\\ \"quoted\"\nnext"}, {"b", "\xc3\xa4"}}};
    (void)state;
    buf_init(&buf, 0);
    exposition_family(&to, "jobs_total", "counter", "Jobs.");
    exposition_sample(&to, NULL, 9007199254740992.0 / 16);
    exposition_sample(&to, NULL, 0);
    exposition_sample(&to, NULL, -1);
    exposition_sample(&to, NULL, 1e15);
    exposition_sample(&to, &labels, 0.25);
    check(&buf, "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\n"
                "jobs_total 562949953421312\njobs_total 0\njobs_total -1\njobs_total 1e+15\n"
                "jobs_total{a=\"\\\\ \\\"quoted\\\"\\nnext\",b=\"\xc3\xa4\"} 0.25\n");
}

static void test_histogram_adds_up(void **state)
{
    struct buf buf;
    struct exposition to = {.buf = &buf};
    const struct exposition_labels labels = {{{"kind", "a.b"}}};
    struct exposition_bounds two = {0}, one = {0};
    const uint64_t within[] = {3, 4};
    (void)state;
    buf_init(&buf, 0);
    exposition_bounds_add(&two, 0.001024);
    exposition_bounds_add(&two, 0.5);
    exposition_bounds_add(&one, 0.001024);
    exposition_family(&to, "run_seconds", "histogram", "Times.");
    exposition_histogram(&to, &labels, &two, within, 9, 1.5);
    exposition_histogram(&to, NULL, &one, within, 3, 0);
    check(&buf, "# HELP run_seconds Times.\n# TYPE run_seconds histogram\n"
                "run_seconds_bucket{kind=\"a.b\",le=\"0.001024\"} 3\n"
                "run_seconds_bucket{kind=\"a.b\",le=\"0.5\"} 7\n"
                "run_seconds_bucket{kind=\"a.b\",le=\"+Inf\"} 9\n"
                "run_seconds_sum{kind=\"a.b\"} 1.5\n"
                "run_seconds_count{kind=\"a.b\"} 9\n"
                "run_seconds_bucket{le=\"0.001024\"} 3\n"
                "run_seconds_bucket{le=\"+Inf\"} 3\n"
                "run_seconds_sum 0\n"
                "run_seconds_count 3\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_histogram_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
