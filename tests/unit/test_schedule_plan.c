/* schedule_plan: which fire times make a job, which are passed over, which is next. */
#include "queue/schedule_plan.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define NOON (INT64_C(20000) * DAY + 12 * HOUR) /* a day at 12:00 UTC */

static struct schedule_plan plan;
static struct zone *utc;

static struct schedule_rule rule_of(const char *cron, enum schedule_missed missed)
{
    struct schedule_rule rule = {.zone = utc,
                                 .missed = missed,
                                 .missed_max_us = DAY,
                                 .starts_us = INT64_MIN,
                                 .ends_us = INT64_MAX,
                                 .last_us = INT64_MIN};
    struct err err = {0};
    assert_true(cron_parse(&rule.cron, cron, &err));
    return rule;
}

static int setup(void **state)
{
    struct err err = {0};
    (void)state;
    utc = zone_new(NULL, "UTC", &err);
    return utc ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    zone_free(utc);
    return 0;
}

static void assert_fires(size_t count, int64_t first_us, int64_t step_us)
{
    assert_int_equal(plan.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(plan.fires_us[i], first_us + (int64_t)i * step_us);
}

static void test_unset(void **state)
{
    (void)state;
    struct schedule_rule rule = rule_of("@hourly", SCHEDULE_ALL);
    schedule_plan_make(&plan, &rule, INT64_MIN, NOON);
    assert_fires(0, 0, 0);
    assert_int_equal(plan.next_us, NOON + HOUR);
    rule.last_us = NOON + 5 * HOUR; /* the clock was set back since */
    schedule_plan_make(&plan, &rule, INT64_MIN, NOON);
    assert_int_equal(plan.next_us, NOON + 6 * HOUR);
    rule.starts_us = NOON + 7 * HOUR;
    schedule_plan_make(&plan, &rule, INT64_MIN, NOON);
    assert_int_equal(plan.next_us, NOON + 7 * HOUR);
    rule.ends_us = NOON + 7 * HOUR;
    schedule_plan_make(&plan, &rule, INT64_MIN, NOON);
    assert_int_equal(plan.next_us, CRON_NEVER);
}

static void test_on_time(void **state)
{
    (void)state;
    for (int missed = SCHEDULE_SKIP; missed <= SCHEDULE_ALL; missed++) {
        struct schedule_rule rule = rule_of("@hourly", missed);
        schedule_plan_make(&plan, &rule, NOON, NOON + 3000);
        assert_fires(1, NOON, 0);
        assert_false(plan.passes);
        assert_int_equal(plan.next_us, NOON + HOUR);
    }
}

/* Late by a minute at most is not missed: each of the fire times of that minute counts. */
static void test_grace(void **state)
{
    (void)state;
    for (int missed = SCHEDULE_SKIP; missed <= SCHEDULE_ALL; missed++) {
        struct schedule_rule rule = rule_of("*/10 * * * * *", missed);
        rule.missed_max_us = 0;
        schedule_plan_make(&plan, &rule, NOON, NOON + 60 * SECOND);
        assert_fires(7, NOON, 10 * SECOND);
        assert_false(plan.passes);
        schedule_plan_make(&plan, &rule, NOON, NOON + 65 * SECOND);
        assert_fires(6, NOON + 10 * SECOND, 10 * SECOND);
        assert_true(plan.passes);
    }
}

/* Three hours and a half, every hour at 0: the last one was 30 minutes ago. */
static void test_outage(void **state)
{
    (void)state;
    int64_t now_us = NOON + 3 * HOUR + 30 * MINUTE;
    struct schedule_rule rule = rule_of("@hourly", SCHEDULE_SKIP);
    schedule_plan_make(&plan, &rule, NOON, now_us);
    assert_fires(0, 0, 0);
    assert_true(plan.passes && plan.passed_us == now_us - MINUTE);
    assert_int_equal(plan.next_us, NOON + 4 * HOUR);

    rule = rule_of("@hourly", SCHEDULE_ONCE);
    schedule_plan_make(&plan, &rule, NOON, now_us);
    assert_fires(1, NOON + 3 * HOUR, 0);
    assert_true(plan.passes && plan.passed_us == NOON + 3 * HOUR);
    assert_int_equal(plan.next_us, NOON + 4 * HOUR);

    rule = rule_of("@hourly", SCHEDULE_ALL);
    schedule_plan_make(&plan, &rule, NOON, now_us);
    assert_fires(4, NOON, HOUR);
    assert_false(plan.passes);
    assert_int_equal(plan.next_us, NOON + 4 * HOUR);
}

/* It ends just when one is due: that one is the last. */
static void test_outage_that_ends_on_time(void **state)
{
    (void)state;
    struct schedule_rule rule = rule_of("@hourly", SCHEDULE_ONCE);
    schedule_plan_make(&plan, &rule, NOON, NOON + 3 * HOUR + 20 * SECOND);
    assert_fires(1, NOON + 3 * HOUR, 0);
    assert_true(plan.passes);
    rule = rule_of("@hourly", SCHEDULE_SKIP);
    schedule_plan_make(&plan, &rule, NOON, NOON + 3 * HOUR + 20 * SECOND);
    assert_fires(1, NOON + 3 * HOUR, 0);
    assert_true(plan.passes);
}

static void test_missed_max(void **state)
{
    (void)state;
    int64_t now_us = NOON + 3 * HOUR + 30 * MINUTE;
    struct schedule_rule rule = rule_of("@hourly", SCHEDULE_ALL);
    rule.missed_max_us = 90 * MINUTE;
    schedule_plan_make(&plan, &rule, NOON, now_us);
    assert_fires(2, NOON + 2 * HOUR, HOUR);
    assert_true(plan.passes && plan.passed_us == now_us - 90 * MINUTE);
    rule.missed = SCHEDULE_ONCE;
    rule.missed_max_us = 29 * MINUTE;
    schedule_plan_make(&plan, &rule, NOON, now_us);
    assert_fires(0, 0, 0);
    assert_true(plan.passes);
    assert_int_equal(plan.next_us, NOON + 4 * HOUR);
    rule.missed_max_us = 30 * MINUTE;
    schedule_plan_make(&plan, &rule, NOON, now_us);
    assert_fires(1, NOON + 3 * HOUR, 0);
}

/* A year away, every second of one hour of the day: the last one is found, and at once. */
static void test_once_of_very_many(void **state)
{
    (void)state;
    struct schedule_rule rule = rule_of("* * 3 * * *", SCHEDULE_ONCE);
    schedule_plan_make(&plan, &rule, NOON - 365 * DAY - 9 * HOUR, NOON);
    assert_fires(1, NOON - 8 * HOUR - SECOND, 0);
    assert_int_equal(plan.next_us, NOON + 15 * HOUR);
}

static void test_all_of_very_many(void **state)
{
    (void)state;
    struct schedule_rule rule = rule_of("* * * * * *", SCHEDULE_ALL);
    int64_t at_us = NOON;
    for (int i = 0; i < 7; i++, at_us = plan.next_us) {
        schedule_plan_make(&plan, &rule, at_us, NOON + HOUR);
        assert_fires(SCHEDULE_FIRES_MAX, at_us, SECOND);
        assert_int_equal(plan.next_us, at_us + SCHEDULE_FIRES_MAX * SECOND);
    }
    schedule_plan_make(&plan, &rule, at_us, NOON + HOUR);
    assert_fires(101, at_us, SECOND);
}

static void test_end(void **state)
{
    (void)state;
    struct schedule_rule rule = rule_of("@hourly", SCHEDULE_ALL);
    rule.ends_us = NOON + 2 * HOUR;
    schedule_plan_make(&plan, &rule, NOON, NOON + 5 * HOUR);
    assert_fires(2, NOON, HOUR);
    assert_int_equal(plan.next_us, CRON_NEVER);
}

static void test_every_keeps_its_spacing(void **state)
{
    (void)state;
    struct schedule_rule rule = rule_of("@every 90s", SCHEDULE_ALL);
    rule.starts_us = rule.cron.anchor_us = NOON + 7 * SECOND;
    schedule_plan_make(&plan, &rule, INT64_MIN, NOON);
    assert_int_equal(plan.next_us, NOON + 7 * SECOND);
    schedule_plan_make(&plan, &rule, plan.next_us, NOON + 10 * MINUTE);
    assert_fires(7, NOON + 7 * SECOND, 90 * SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unset),
        cmocka_unit_test(test_on_time),
        cmocka_unit_test(test_grace),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_outage_that_ends_on_time),
        cmocka_unit_test(test_missed_max),
        cmocka_unit_test(test_once_of_very_many),
        cmocka_unit_test(test_all_of_very_many),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_every_keeps_its_spacing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
