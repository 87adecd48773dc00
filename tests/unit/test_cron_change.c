/* cron at the changes of a zone's clock: every change of a decade in seven zones, a few of them by
 * the date as people wrote them down; and cron_next against going through every minute. */
#include "cron/civil.h"
#include "cron/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR_S = 3600, DAY_S = 86400, FIRES_MAX = 5000, ROUNDS = 150, WINDOW_DAYS = 4 };

static const int64_t US = 1000000;
static struct zone_set zones;

static const struct zone *zone_named(const char *name)
{
    struct err err;
    const struct zone *zone = zone_set_get(&zones, name, &err);
    if (!zone)
        fail_msg("%s", err.text);
    return zone;
}

static struct cron parsed(const char *text)
{
    struct cron cron;
    struct err err;
    if (!cron_parse(&cron, text, &err))
        fail_msg("'%s': %s", text, err.text);
    return cron;
}

static int64_t time_s(const char *text)
{
    int year, month, day, hour, minute;
    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &year, &month, &day, &hour, &minute), 5);
    return civil_days(year, month, day) * DAY_S + hour * HOUR_S + minute * 60;
}

/* The fires in (after_s, until_s], at most FIRES_MAX. */
static size_t fires(const char *text, const struct zone *zone, int64_t after_s, int64_t until_s,
                    int64_t *found)
{
    struct cron cron = parsed(text);
    size_t count = 0;
    int64_t at_us = after_s * US;
    while ((at_us = cron_next(&cron, zone, at_us)) <= until_s * US) {
        assert_true(count < FIRES_MAX);
        found[count++] = at_us / US;
    }
    return count;
}

/* ---- By the date ---- */

/* A daily job: its local time, and the moment (UTC) at which it fires on that day, once. */
static const struct {
    const char *zone, *expression, *day_from, *day_until, *fires;
} written[] = {
    {"Europe/Berlin", "30 2 * * *", "2024-03-30 23:00", "2024-03-31 22:00", "2024-03-31 01:00"},
    {"Europe/Berlin", "30 2 * * *", "2024-10-26 22:00", "2024-10-27 23:00", "2024-10-27 00:30"},
    {"Europe/Berlin", "0,20,40 2 * * *", "2024-03-30 23:00", "2024-03-31 22:00",
     "2024-03-31 01:00"},
    {"Europe/Berlin", "0 2,3 * * *", "2024-03-30 23:00", "2024-03-31 22:00", "2024-03-31 01:00"},
    {"Europe/Berlin", "30 2 31 3 *", "2024-01-01 00:00", "2024-12-31 00:00", "2024-03-31 01:00"},
    {"America/New_York", "30 2 * * *", "2024-03-10 05:00", "2024-03-11 04:00", "2024-03-10 07:00"},
    {"America/New_York", "30 1 * * *", "2024-11-03 04:00", "2024-11-04 05:00", "2024-11-03 05:30"},
    {"Australia/Lord_Howe", "15 2 * * *", "2024-10-05 13:30", "2024-10-06 13:00",
     "2024-10-05 15:30"},
    {"Australia/Lord_Howe", "45 1 * * *", "2024-04-06 13:00", "2024-04-07 13:30",
     "2024-04-06 14:45"},
    {"America/Sao_Paulo", "30 0 * * *", "2018-11-04 03:00", "2018-11-05 02:00", "2018-11-04 03:00"},
    {"America/Sao_Paulo", "30 23 * * *", "2019-02-16 12:00", "2019-02-17 12:00",
     "2019-02-17 01:30"},
    {"Africa/Casablanca", "30 2 * * *", "2024-03-09 23:00", "2024-03-11 00:00", "2024-03-10 01:30"},
    {"Africa/Casablanca", "30 2 * * *", "2024-04-14 00:00", "2024-04-14 23:00", "2024-04-14 02:00"},
    {"Asia/Tehran", "30 0 * * *", "2022-03-21 20:30", "2022-03-22 19:30", "2022-03-21 20:30"},
    {"Asia/Tehran", "30 23 * * *", "2022-09-21 12:00", "2022-09-22 12:00", "2022-09-21 19:00"},
    {"Pacific/Apia", "30 3 * * *", "2020-09-26 11:00", "2020-09-27 10:00", "2020-09-26 14:00"},
    {"Pacific/Apia", "30 3 * * *", "2021-04-03 10:00", "2021-04-04 11:00", "2021-04-03 13:30"},
    /* Samoa left out 30 December 2011: a job of that day fires as the 31st begins. */
    {"Pacific/Apia", "0 9 30 12 *", "2011-01-01 00:00", "2012-01-01 00:00", "2011-12-30 10:00"},
};

static void test_written(void **state)
{
    (void)state;
    int64_t found[FIRES_MAX];
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        /* from the first moment of the day on */
        size_t count =
            fires(written[i].expression, zone_named(written[i].zone),
                  time_s(written[i].day_from) - 1, time_s(written[i].day_until) - 1, found);
        if (count != 1 || found[0] != time_s(written[i].fires))
            fail_msg("%s in %s at %s: %zu fires, the first at %lld", written[i].expression,
                     written[i].zone, written[i].fires, count, count ? (long long)found[0] : 0);
    }
}

static void test_skipped_day(void **state)
{
    (void)state;
    int64_t found[FIRES_MAX];
    const struct zone *apia = zone_named("Pacific/Apia");
    /* 29 December, the 30th as the 31st begins, the 31st */
    size_t count =
        fires("0 9 * * *", apia, time_s("2011-12-29 10:00"), time_s("2011-12-31 09:00"), found);
    assert_int_equal(count, 3);
    assert_int_equal(found[0], time_s("2011-12-29 19:00"));
    assert_int_equal(found[1], time_s("2011-12-30 10:00"));
    assert_int_equal(found[2], time_s("2011-12-30 19:00"));
    /* an interval just goes on */
    count =
        fires("0 */6 * * *", apia, time_s("2011-12-29 16:00"), time_s("2011-12-30 23:00"), found);
    for (size_t i = 1; i < count; i++)
        assert_int_equal(found[i] - found[i - 1], 6 * HOUR_S);
    assert_int_equal(count, 5);
}

/* ---- Every change of a decade ---- */

static const struct {
    const char *name, *from, *until;
    size_t changes;
} decades[] = {
    {"Europe/Berlin", "2016-01-01 00:00", "2026-01-01 00:00", 20},
    {"America/New_York", "2016-01-01 00:00", "2026-01-01 00:00", 20},
    {"Australia/Lord_Howe", "2016-01-01 00:00", "2026-01-01 00:00", 20},
    {"America/Sao_Paulo", "2010-01-01 00:00", "2020-01-01 00:00", 19},
    {"Africa/Casablanca", "2014-01-01 00:00", "2024-01-01 00:00", 29},
    {"Asia/Tehran", "2013-01-01 00:00", "2023-01-01 00:00", 20},
    {"Pacific/Apia", "2011-06-01 00:00", "2021-06-01 00:00", 21},
};

/* The local minutes that a change skips, or that come twice, are [low, high). */
struct change {
    const struct zone *zone;
    int64_t at_s;
    int32_t before_s, after_s;
    int64_t low_s, high_s;
};

static void daily_text(int64_t local_s, char *text, size_t size)
{
    int second = (int)(local_s - civil_day_of_seconds(local_s) * DAY_S);
    snprintf(text, size, "%d %d * * *", second / 60 % 60, second / HOUR_S);
}

/* A daily job at a local time that is skipped fires in the stead of it at the change; at one that
 * comes twice, the first time. */
static void check_daily(const struct change *change, int64_t local_s)
{
    char text[32];
    int64_t found[FIRES_MAX];
    daily_text(local_s, text, sizeof text);
    bool skipped = change->after_s > change->before_s;
    int64_t expected_s = skipped ? change->at_s : local_s - change->before_s;
    int64_t day_before_s = local_s - DAY_S - change->before_s;
    int64_t day_after_s = local_s + DAY_S - change->after_s;
    size_t count = fires(text, change->zone, day_before_s - 1, day_after_s, found);
    if (change->high_s - change->low_s == DAY_S) { /* Samoa's: the 31st is the day after */
        assert_true(count == 3 || count == 2);
        return;
    }
    if (count != 3 || found[0] != day_before_s || found[1] != expected_s || found[2] != day_after_s)
        fail_msg("'%s' in %s at the change of %lld: %zu fires", text, zone_name(change->zone),
                 (long long)change->at_s, count);
}

/* The distances between the fires around the change are all the same. */
static void check_spacing(const struct change *change, const char *text, int64_t spacing_s)
{
    int64_t found[FIRES_MAX];
    size_t count =
        fires(text, change->zone, change->at_s - 6 * HOUR_S - 1, change->at_s + 6 * HOUR_S, found);
    assert_true((int64_t)count >= 12 * HOUR_S / spacing_s);
    for (size_t i = 1; i < count; i++)
        if (found[i] - found[i - 1] != spacing_s)
            fail_msg("'%s' in %s at the change of %lld: %lld s apart", text,
                     zone_name(change->zone), (long long)change->at_s,
                     (long long)(found[i] - found[i - 1]));
}

static void check_change(const struct change *change)
{
    const int64_t length_s = change->high_s - change->low_s;
    check_daily(change, change->low_s);
    check_daily(change, change->low_s + length_s / 2 / 60 * 60);
    check_daily(change, change->high_s - 60);
    check_spacing(change, "* * * * *", 60);
    check_spacing(change, "*/15 * * * *", 900);
    check_spacing(change, "7/30 * * * *", 1800);
    check_spacing(change, "*/20 * * * * *", 20);
    check_spacing(change, "@every 90s", 90);
    check_spacing(change, "@every 1h", HOUR_S);
    if (length_s % HOUR_S == 0)
        check_spacing(change, "0 * * * *", HOUR_S);
}

static void test_decades(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decades / sizeof *decades; i++) {
        const struct zone *zone = zone_named(decades[i].name);
        const int64_t until_s = time_s(decades[i].until);
        size_t count = 0;
        struct zone_span span = zone_span(zone, time_s(decades[i].from));
        while (span.until_s < until_s) {
            struct zone_span next = zone_span(zone, span.until_s);
            int64_t one_s = span.until_s + span.offset_s, other_s = span.until_s + next.offset_s;
            struct change change = {zone,
                                    span.until_s,
                                    span.offset_s,
                                    next.offset_s,
                                    one_s < other_s ? one_s : other_s,
                                    one_s < other_s ? other_s : one_s};
            check_change(&change);
            span = next;
            count++;
        }
        if (count != decades[i].changes)
            fail_msg("%s has %zu changes, expected %zu", decades[i].name, count,
                     decades[i].changes);
    }
}

/* Where the step does not fit into the change, it is off once, and then again at the times written.
 */
static void test_uneven_steps(void **state)
{
    (void)state;
    int64_t found[FIRES_MAX];
    size_t count = fires("0 */2 * * *", zone_named("Europe/Berlin"), time_s("2024-10-26 21:59"),
                         time_s("2024-10-27 05:00"), found);
    assert_int_equal(count, 5); /* 00:00, 02:00, 02:00 again, 04:00, 06:00 */
    assert_int_equal(found[2] - found[1], HOUR_S);
    assert_int_equal(found[3] - found[2], 2 * HOUR_S);
    count = fires("0 * * * *", zone_named("Australia/Lord_Howe"), time_s("2024-10-05 13:30"),
                  time_s("2024-10-05 17:00"), found);
    assert_int_equal(count, 3); /* 01:00, 03:00: 02:00 is skipped; 04:00 */
    assert_int_equal(found[0], time_s("2024-10-05 14:30"));
    assert_int_equal(found[1], time_s("2024-10-05 16:00"));
}

/* ---- Against every minute ---- */

static uint64_t random_state = 88172645463325252U;

static int random_number(int below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int)((random_state >> 33) % (uint64_t)below);
}

static int weekday_of(int64_t day)
{
    return (int)(((day + 4) % 7 + 7) % 7);
}

static bool is_workday(int64_t day)
{
    return weekday_of(day) >= 1 && weekday_of(day) <= 5;
}

/* The workday of the month that is nearest to a day of it. */
static int64_t nearest_naive(int64_t day, int64_t first, int64_t last)
{
    for (int64_t away = 0; away < 4; away++) {
        /* Saturday goes back first, Sunday on first; both are one day away from one workday only */
        if (day - away >= first && is_workday(day - away))
            return day - away;
        if (day + away <= last && is_workday(day + away))
            return day + away;
    }
    return -1;
}

static bool day_matches(const struct cron *cron, int64_t day)
{
    struct civil civil = civil_of_days(day);
    const struct cron_days *days = &cron->days;
    int length = civil_month_days(civil.year, civil.month);
    int64_t first = day - civil.day + 1, last = first + length - 1;
    if (!(cron->months >> civil.month & 1))
        return false;
    bool by_month = days->month_days >> civil.day & 1 || days->before_last >> (last - day) & 1 ||
                    (days->last_workday && nearest_naive(last, first, last) == day);
    for (int n = 1; n <= length; n++)
        by_month |= days->nearest >> n & 1 && nearest_naive(first + n - 1, first, last) == day;
    bool by_weekday = days->weekdays >> weekday_of(day) & 1 ||
                      days->nth_weekdays[(civil.day - 1) / 7] >> weekday_of(day) & 1 ||
                      (day + 7 > last && days->last_weekdays >> weekday_of(day) & 1);
    if (days->month_day_any)
        return days->weekday_any || by_weekday;
    return by_month || (!days->weekday_any && by_weekday);
}

static bool matches(const struct cron *cron, int64_t local_s)
{
    int64_t day = civil_day_of_seconds(local_s);
    int64_t second = local_s - day * DAY_S;
    return cron->seconds >> second % 60 & 1 && cron->minutes >> second / 60 % 60 & 1 &&
           cron->hours >> second / HOUR_S & 1 && day_matches(cron, day);
}

/* By the words of cron.h: an interval fires whenever the local time matches, a fixed time when the
 * clock gets to it or past it for the first time. */
static size_t fires_naive(const struct cron *cron, const struct zone *zone, int64_t from_s,
                          int64_t until_s, int64_t *found)
{
    size_t count = 0;
    int64_t reached_s = INT64_MIN;
    for (int64_t at_s = from_s - 3 * DAY_S; at_s < from_s; at_s += 60)
        if (at_s + zone_offset_s(zone, at_s) > reached_s)
            reached_s = at_s + zone_offset_s(zone, at_s);
    for (int64_t at_s = from_s; at_s <= until_s; at_s += 60) {
        int64_t local_s = at_s + zone_offset_s(zone, at_s);
        bool due = cron->interval && matches(cron, local_s);
        for (int64_t passed_s = reached_s + 60; passed_s <= local_s; passed_s += 60)
            due |= !cron->interval && matches(cron, passed_s);
        if (local_s > reached_s)
            reached_s = local_s;
        if (due)
            found[count++] = at_s;
    }
    return count;
}

static void random_field(char *text, size_t size, int least, int most)
{
    int one = least + random_number(most - least + 1),
        other = least + random_number(most - least + 1);
    int step = 1 + random_number(most - least + 1);
    switch (random_number(6)) {
    case 0:
        snprintf(text, size, "*");
        break;
    case 1:
        snprintf(text, size, "*/%d", step);
        break;
    case 2:
        snprintf(text, size, "%d-%d", one, other);
        break;
    case 3:
        snprintf(text, size, "%d-%d/%d", one, other, step);
        break;
    default:
        snprintf(text, size, "%d,%d", one, other);
        break;
    }
}

static void random_expression(char *text, size_t size)
{
    static const char *const month_days[] = {"*",   "*",      "?",  "L",     "LW", "L-2",
                                             "15W", "1W,31W", "30", "1-7,L", "*/2"};
    static const char *const weekdays[] = {"*",       "*",  "?",   "1-5",   "SUN",
                                           "FRI-MON", "7L", "2#2", "6#5,1", "*/3"};
    char minute[32], hour[32];
    random_field(minute, sizeof minute, 0, 59);
    random_field(hour, sizeof hour, 0, random_number(2) ? 4 : 23);
    snprintf(text, size, "%s %s %s %s %s", minute, hour, month_days[random_number(11)],
             random_number(4) ? "*" : "3,9-11", weekdays[random_number(10)]);
}

/* The middle of the window: a change of the zone's clock, or any time. */
static int64_t random_moment(const struct zone *zone)
{
    int64_t at_s = time_s("2005-01-01 00:00") + (int64_t)random_number(30 * 365 * 1440) * 60;
    struct zone_span span = zone_span(zone, at_s);
    return random_number(3) && span.until_s < time_s("2090-01-01 00:00") ? span.until_s : at_s;
}

/* Asked from a moment between fires, not only from the fire before. */
static void check_between(const struct cron *cron, const struct zone *zone, int64_t from_s,
                          const int64_t *naive, size_t count)
{
    size_t next = 0;
    for (int64_t at_s = from_s; at_s < from_s + WINDOW_DAYS * DAY_S; at_s += 17 * 60) {
        while (next < count && naive[next] <= at_s)
            next++;
        if (next < count)
            assert_int_equal(cron_next(cron, zone, at_s * US), naive[next] * US);
    }
}

static void test_next_is_minimal(void **state)
{
    (void)state;
    static int64_t found[WINDOW_DAYS * 1440 + 1], naive[WINDOW_DAYS * 1440 + 1];
    size_t total = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char text[128];
        const struct zone *zone = zone_named(decades[round % 7].name);
        random_expression(text, sizeof text);
        struct cron cron = parsed(text);
        int64_t from_s = random_moment(zone) - WINDOW_DAYS * DAY_S / 2;
        int64_t until_s = from_s + WINDOW_DAYS * DAY_S;
        size_t expected = fires_naive(&cron, zone, from_s, until_s, naive), count = 0;
        for (int64_t at_us = from_s * US - 1;
             (at_us = cron_next(&cron, zone, at_us)) <= until_s * US;)
            if (count <= WINDOW_DAYS * 1440)
                found[count++] = at_us / US;
        if (count != expected || memcmp(found, naive, count * sizeof *found) != 0)
            fail_msg("'%s' in %s from %lld on: %zu fires, expected %zu", text, zone_name(zone),
                     (long long)from_s, count, expected);
        check_between(&cron, zone, from_s, naive, expected);
        total += count;
    }
    assert_true(total > ROUNDS);
}

/* From any moment of the window, not from fire to fire, and with seconds. */
static void test_next_from_anywhere(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char fields[128], text[192], seconds[32];
        const struct zone *zone = zone_named(decades[round % 7].name);
        random_expression(fields, sizeof fields);
        random_field(seconds, sizeof seconds, 0, 59);
        snprintf(text, sizeof text, "%s %s", seconds, fields);
        struct cron cron = parsed(text);
        cron.interval = true; /* then it is the local time alone that counts */
        int64_t after_s = random_moment(zone) - random_number(2 * HOUR_S);
        int64_t next_s = cron_next(&cron, zone, after_s * US + random_number(1000000)) / US;
        assert_true(next_s > after_s);
        int64_t end_s = next_s < after_s + 3 * HOUR_S ? next_s : after_s + 3 * HOUR_S;
        for (int64_t at_s = after_s + 1; at_s < end_s; at_s++)
            if (matches(&cron, at_s + zone_offset_s(zone, at_s)))
                fail_msg("'%s' in %s after %lld: not %lld but %lld", text, zone_name(zone),
                         (long long)after_s, (long long)next_s, (long long)at_s);
        assert_true(matches(&cron, next_s + zone_offset_s(zone, next_s)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),         cmocka_unit_test(test_skipped_day),
        cmocka_unit_test(test_decades),         cmocka_unit_test(test_uneven_steps),
        cmocka_unit_test(test_next_is_minimal), cmocka_unit_test(test_next_from_anywhere),
    };
    zone_set_init(&zones, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    zone_set_clear(&zones);
    return failed;
}
