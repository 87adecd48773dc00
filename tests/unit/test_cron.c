/* cron: what expressions mean, when they fire next, and what they are called. Clock changes are in
 * test_cron_change.c, refused expressions in test_cron_bad.c. */
#include "base/clock.h"
#include "cron/civil.h"
#include "cron/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static const int64_t US = 1000000;
static struct zone *utc;

static struct cron parsed(const char *text)
{
    struct cron cron;
    struct err err;
    if (!cron_parse(&cron, text, &err))
        fail_msg("'%s': %s", text, err.text);
    return cron;
}

static int64_t time_us(const char *text)
{
    int year, month, day, hour, minute, second;
    assert_int_equal(
        sscanf(text, "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute, &second), 6);
    return (civil_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * US;
}

static void time_text(int64_t at_us, char *text, size_t size)
{
    int64_t at_s = at_us / US, day = civil_day_of_seconds(at_s);
    int second = (int)(at_s - day * 86400);
    struct civil civil = civil_of_days(day);
    snprintf(text, size, "%04d-%02d-%02d %02d:%02d:%02d", civil.year, civil.month, civil.day,
             second / 3600, second / 60 % 60, second % 60);
}

/* The fires after a moment, with " | " between them; all UTC. */
static void assert_fires(const char *expression, const char *after, const char *expected)
{
    struct cron cron = parsed(expression);
    char got[512] = "", one[64];
    int64_t at_us = time_us(after);
    size_t count = (strlen(expected) + 3) / 22;
    for (size_t i = 0; i < count; i++) {
        at_us = cron_next(&cron, utc, at_us);
        time_text(at_us, one, sizeof one);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " | " : "", one);
    }
    if (strcmp(got, expected) != 0)
        fail_msg("'%s' after %s: got %s, expected %s", expression, after, got, expected);
}

static const struct {
    const char *expression, *after, *fires;
} tables[] = {
    {"* * * * *", "2026-01-01 00:00:00", "2026-01-01 00:01:00 | 2026-01-01 00:02:00"},
    {"* * * * * *", "2026-12-31 23:59:58", "2026-12-31 23:59:59 | 2027-01-01 00:00:00"},
    {"30 9 * * 1-5", "2026-11-27 09:30:00", "2026-11-30 09:30:00 | 2026-12-01 09:30:00"},
    {"30 9 * * MON-FRI", "2026-11-27 09:29:59", "2026-11-27 09:30:00 | 2026-11-30 09:30:00"},
    {"*/15 * * * *", "2026-01-01 00:50:00", "2026-01-01 01:00:00 | 2026-01-01 01:15:00"},
    {"*/25 * * * *", "2026-01-01 00:00:00",
     "2026-01-01 00:25:00 | 2026-01-01 00:50:00 | 2026-01-01 01:00:00"},
    {"5/25 * * * *", "2026-01-01 00:00:00",
     "2026-01-01 00:05:00 | 2026-01-01 00:30:00 | 2026-01-01 00:55:00"},
    {"10-20/5 8 * * *", "2026-01-01 00:00:00",
     "2026-01-01 08:10:00 | 2026-01-01 08:15:00 | 2026-01-01 08:20:00 | 2026-01-02 08:10:00"},
    {"15,45 10 * * *", "2026-01-01 10:15:00", "2026-01-01 10:45:00 | 2026-01-02 10:15:00"},
    {"30 15 12 * * *", "2026-01-01 12:15:30", "2026-01-02 12:15:30 | 2026-01-03 12:15:30"},
    {"59 59 23 31 12 *", "2026-01-01 00:00:00", "2026-12-31 23:59:59 | 2027-12-31 23:59:59"},
    /* ranges that pass the end */
    {"0 22-2 * * *", "2026-01-01 12:00:00",
     "2026-01-01 22:00:00 | 2026-01-01 23:00:00 | 2026-01-02 00:00:00 | 2026-01-02 01:00:00 | "
     "2026-01-02 02:00:00 | 2026-01-02 22:00:00"},
    {"0 22-4/2 * * *", "2026-01-01 21:00:00",
     "2026-01-01 22:00:00 | 2026-01-02 00:00:00 | 2026-01-02 02:00:00 | 2026-01-02 04:00:00 | "
     "2026-01-02 22:00:00"},
    {"0 0 * * FRI-MON", "2026-11-26 00:00:00",
     "2026-11-27 00:00:00 | 2026-11-28 00:00:00 | 2026-11-29 00:00:00 | 2026-11-30 00:00:00 | "
     "2026-12-04 00:00:00"},
    {"0 0 1 NOV-FEB *", "2026-02-01 00:00:00",
     "2026-11-01 00:00:00 | 2026-12-01 00:00:00 | 2027-01-01 00:00:00 | 2027-02-01 00:00:00 | "
     "2027-11-01 00:00:00"},
    {"0 0 30-2 * *", "2026-01-31 00:00:00",
     "2026-02-01 00:00:00 | 2026-02-02 00:00:00 | 2026-03-01 00:00:00"},
    /* Sunday */
    {"0 0 * * 0", "2026-11-25 00:00:00", "2026-11-29 00:00:00 | 2026-12-06 00:00:00"},
    {"0 0 * * 7", "2026-11-25 00:00:00", "2026-11-29 00:00:00 | 2026-12-06 00:00:00"},
    {"0 0 * * sun", "2026-11-25 00:00:00", "2026-11-29 00:00:00 | 2026-12-06 00:00:00"},
    {"0 0 * * 6-7", "2026-11-25 00:00:00",
     "2026-11-28 00:00:00 | 2026-11-29 00:00:00 | 2026-12-05 00:00:00"},
    {"0 0 * * 7-1", "2026-11-25 00:00:00",
     "2026-11-29 00:00:00 | 2026-11-30 00:00:00 | 2026-12-06 00:00:00"},
    /* both day fields: either */
    {"0 0 13 * FRI", "2026-11-01 00:00:00",
     "2026-11-06 00:00:00 | 2026-11-13 00:00:00 | 2026-11-20 00:00:00 | 2026-11-27 00:00:00 | "
     "2026-12-04 00:00:00 | 2026-12-11 00:00:00 | 2026-12-13 00:00:00"},
    {"0 0 ? * FRI", "2026-11-13 00:00:00", "2026-11-20 00:00:00 | 2026-11-27 00:00:00"},
    {"0 0 13 * ?", "2026-11-13 00:00:00", "2026-12-13 00:00:00 | 2027-01-13 00:00:00"},
    {"0 0 */10 * MON", "2026-11-26 00:00:00",
     "2026-11-30 00:00:00 | 2026-12-01 00:00:00 | 2026-12-07 00:00:00 | 2026-12-11 00:00:00"},
    /* the ends of months */
    {"0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00:00 | 2026-05-31 00:00:00"},
    {"0 0 L * *", "2027-12-31 00:00:00",
     "2028-01-31 00:00:00 | 2028-02-29 00:00:00 | 2028-03-31 00:00:00 | 2028-04-30 00:00:00"},
    {"0 0 l-1 2 *", "2026-01-01 00:00:00",
     "2026-02-27 00:00:00 | 2027-02-27 00:00:00 | 2028-02-28 00:00:00"},
    {"0 0 L-30 * *", "2026-01-01 00:00:00", "2026-03-01 00:00:00 | 2026-05-01 00:00:00"},
    {"0 0 LW * *", "2026-01-01 00:00:00",
     "2026-01-30 00:00:00 | 2026-02-27 00:00:00 | 2026-03-31 00:00:00 | 2026-04-30 00:00:00 | "
     "2026-05-29 00:00:00"},
    {"0 0 L,15 * *", "2026-02-01 00:00:00",
     "2026-02-15 00:00:00 | 2026-02-28 00:00:00 | 2026-03-15 00:00:00"},
    /* nearest weekday: Saturday back, Sunday on, never into another month */
    {"0 0 15W * *", "2026-08-01 00:00:00", "2026-08-14 00:00:00 | 2026-09-15 00:00:00"},
    {"0 0 15w 11 *", "2026-01-01 00:00:00", "2026-11-16 00:00:00 | 2027-11-15 00:00:00"},
    {"0 0 1W 8 *", "2026-01-01 00:00:00", "2026-08-03 00:00:00 | 2027-08-02 00:00:00"},
    {"0 0 31W * *", "2026-04-01 00:00:00", "2026-05-29 00:00:00 | 2026-07-31 00:00:00"},
    /* weekdays of the month */
    {"0 0 * * 5#3", "2026-11-01 00:00:00", "2026-11-20 00:00:00 | 2026-12-18 00:00:00"},
    {"0 0 * * MON#1", "2026-11-01 00:00:00", "2026-11-02 00:00:00 | 2026-12-07 00:00:00"},
    {"0 0 * * 5#5", "2026-02-01 00:00:00", "2026-05-29 00:00:00 | 2026-07-31 00:00:00"},
    {"0 0 * * 5L", "2026-11-01 00:00:00", "2026-11-27 00:00:00 | 2026-12-25 00:00:00"},
    {"0 0 * * FRIL", "2026-11-01 00:00:00", "2026-11-27 00:00:00 | 2026-12-25 00:00:00"},
    {"0 0 * * 7L", "2026-11-01 00:00:00", "2026-11-29 00:00:00 | 2026-12-27 00:00:00"},
    {"0 0 * * 1#1,5L", "2026-11-01 00:00:00",
     "2026-11-02 00:00:00 | 2026-11-27 00:00:00 | 2026-12-07 00:00:00"},
    /* rare ones */
    {"0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00 | 2032-02-29 00:00:00"},
    {"0 0 29 2 *", "2096-02-29 00:00:00", "2104-02-29 00:00:00 | 2108-02-29 00:00:00"},
    {"0 0 * 2 0#5", "2026-01-01 00:00:00",
     "2032-02-29 00:00:00 | 2060-02-29 00:00:00 | 2088-02-29 00:00:00 | 2128-02-29 00:00:00"},
    /* nicknames */
    {"@yearly", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
    {"@annually", "2026-05-01 00:00:00", "2027-01-01 00:00:00"},
    {"@monthly", "2026-05-01 00:00:00", "2026-06-01 00:00:00"},
    {"@weekly", "2026-11-25 00:00:00", "2026-11-29 00:00:00"},
    {"@daily", "2026-11-25 00:00:00", "2026-11-26 00:00:00"},
    {" @Midnight\t", "2026-11-25 00:00:00", "2026-11-26 00:00:00"},
    {"@HOURLY", "2026-11-25 00:00:00", "2026-11-25 01:00:00"},
    {"  0\t0  *  *\t* ", "2026-11-25 00:00:00", "2026-11-26 00:00:00"},
    {"@every 90s", "2026-11-25 00:00:00", "2026-11-25 00:01:30 | 2026-11-25 00:03:00"},
    {"@every 1h30m", "2026-11-25 00:00:00", "2026-11-25 01:30:00 | 2026-11-25 03:00:00"},
    {"@every 1d", "2026-11-25 00:00:01", "2026-11-26 00:00:00"},
};

static void test_next(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        assert_fires(tables[i].expression, tables[i].after, tables[i].fires);
}

/* Strictly after, whatever part of a second the moment has; before 1970, too. */
static void test_edges(void **state)
{
    (void)state;
    struct cron cron = parsed("* * * * * *");
    assert_int_equal(cron_next(&cron, utc, 5 * US), 6 * US);
    assert_int_equal(cron_next(&cron, utc, 5 * US - 1), 5 * US);
    assert_int_equal(cron_next(&cron, utc, 5 * US + 1), 6 * US);
    assert_int_equal(cron_next(&cron, utc, -1), 0);
    assert_int_equal(cron_next(&cron, utc, -US), 0);
    assert_int_equal(cron_next(&cron, utc, -US - 1), -US);
    const int64_t first_us = time_us("1900-01-01 00:00:00"),
                  end_us = time_us("2300-01-01 00:00:00");
    assert_int_equal(cron_next(&cron, utc, INT64_MIN), first_us + US);
    assert_int_equal(cron_next(&cron, utc, INT64_MAX), CRON_NEVER);
    assert_int_equal(cron_next(&cron, utc, end_us - 2 * US), end_us - US);
    assert_int_equal(cron_next(&cron, utc, end_us - US), CRON_NEVER);
    cron = parsed("0 0 29 2 *");
    assert_int_equal(cron_next(&cron, utc, time_us("2296-02-29 00:00:00")), CRON_NEVER);
}

static void test_every(void **state)
{
    (void)state;
    struct cron cron = parsed("@every 90s");
    assert_int_equal(cron.every_us, 90 * US);
    assert_int_equal(cron_next(&cron, utc, 0), 90 * US);
    assert_int_equal(cron_next(&cron, utc, 90 * US - 1), 90 * US);
    assert_int_equal(cron_next(&cron, utc, -1), 0);
    assert_int_equal(cron_next(&cron, utc, -90 * US), 0);
    cron.anchor_us = 1000 * US + 7;
    assert_int_equal(cron_next(&cron, utc, 0), 10 * US + 7); /* 1000 = 11 * 90 + 10 */
    assert_int_equal(cron_next(&cron, utc, 1000 * US + 7), 1090 * US + 7);
    cron.anchor_us = INT64_MAX;
    cron_next(&cron, utc, INT64_MIN);
    cron.anchor_us = INT64_MIN;
    assert_int_equal(cron_next(&cron, utc, time_us("2299-12-31 00:00:00")), CRON_NEVER);
    assert_int_equal(parsed("@every 366d").every_us, 366 * 86400 * US);
    assert_int_equal(parsed("@every 1d2h3m4s").every_us, 93784 * US);
}

static const struct {
    const char *expression, *text;
} described[] = {
    {"30 9 * * 1-5", "at 09:30 on weekdays (Monday to Friday)"},
    {"*/15 * * * *", "every 15 minutes"},
    {"0,15,30,45 * * * *", "every 15 minutes"},
    {"0 0 L * *", "at 00:00 on the last day of the month"},
    {"* * * * *", "every minute"},
    {"* * * * * *", "every second"},
    {"*/10 * * * * *", "every 10 seconds"},
    {"*/7 * * * * *", "every 7 seconds from second 0 to 56 of every minute"},
    {"30 * * * * *", "at second 30 of every minute"},
    {"15,45 */5 * * * *", "at seconds 15 and 45, every 5 minutes"},
    {"*/7 * * * *", "every 7 minutes from minute 0 to 56 of every hour"},
    {"5/15 * * * *", "every 15 minutes from minute 5 to 50 of every hour"},
    {"1,2,9 * * * *", "at minutes 1, 2 and 9 of every hour"},
    {"10-20 * * * *", "every minute from 10 to 20 of every hour"},
    {"0 * * * *", "every hour"},
    {"1 * * * *", "at 1 minute past every hour"},
    {"20 * * * *", "at 20 minutes past every hour"},
    {"30 */2 * * *", "every 2 hours from 00:30 to 22:30"},
    {"0 9-17 * * *", "every hour from 09:00 to 17:00"},
    {"0 22-2 * * *", "every hour from 22:00 to 02:00"},
    {"*/5 22-2 * * *", "every 5 minutes from 22:00 to 02:59"},
    {"* 3 * * *", "every minute from 03:00 to 03:59"},
    {"*/20 1,3,7,9 * * *", "every 20 minutes in the hours 01, 03, 07 and 09"},
    {"0 0,12 * * *", "at 00:00 and 12:00 every day"},
    {"30 30 9 * * *", "at 09:30:30 every day"},
    {"0,30 9,17 * * *", "at 09:00, 09:30, 17:00 and 17:30 every day"},
    {"0 9 1,15 * *", "at 09:00 on the 1st and the 15th of the month"},
    {"0 9 2,3,4,11,12,22,23,31 * *", "at 09:00 on the 2nd to the 4th, the 11th, the 12th, the "
                                     "22nd, the 23rd and the 31st of the month"},
    {"0 0 */2 * *", "at 00:00 on every 2nd day from the 1st to the 31st of the month"},
    {"0 0 LW * *", "at 00:00 on the last weekday (Monday to Friday) of the month"},
    {"0 0 L-3 * *", "at 00:00 on the 3rd day before the last of the month"},
    {"0 0 15W,L 6 *", "at 00:00 on the weekday nearest to the 15th and the last day of June"},
    {"0 0 1 1 *", "at 00:00 on the 1st of January"},
    {"@yearly", "at 00:00 on the 1st of January"},
    {"@weekly", "at 00:00 on Sundays"},
    {"@hourly", "every hour"},
    {"0 12 * NOV-FEB SAT,SUN",
     "at 12:00 on weekends (Saturday and Sunday) in November to February"},
    {"0 12 * * 1,3,5", "at 12:00 on Mondays, Wednesdays and Fridays"},
    {"0 12 * 7,8 *", "at 12:00 every day in July and August"},
    {"* * * 5 *", "every minute in May"},
    {"0 0 13 * FRI", "at 00:00 on the 13th of the month, and on Fridays"},
    {"0 0 * * 5#3", "at 00:00 on the third Friday of the month"},
    {"0 0 * 3,10 0L", "at 00:00 on the last Sunday of March and October"},
    {"0 0 * * 1,5#1,5L",
     "at 00:00 on Mondays, and on the first Friday and the last Friday of the month"},
    {"0 0 1-31 * MON", "at 00:00 every day"},
    {"@every 90s", "every 1 minute 30 seconds"},
    {"@every 15m", "every 15 minutes"},
    {"@every 60m", "every hour"},
    {"@every 1d", "every 24 hours"},
    {"@every 1s", "every second"},
};

static void test_describe(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof described / sizeof *described; i++) {
        struct cron cron = parsed(described[i].expression);
        struct buf buf;
        buf_init(&buf, 0);
        cron_describe(&cron, &buf);
        if (strcmp(buf_text(&buf), described[i].text) != 0)
            fail_msg("'%s': got \"%s\", expected \"%s\"", described[i].expression, buf_text(&buf),
                     described[i].text);
        buf_clear(&buf);
    }
}

/* Far more than it takes, even with sanitizers on a busy machine: a loop over minutes would not
 * pass. */
static void test_is_quick(void **state)
{
    (void)state;
    static const char *const expressions[] = {"*/5 * * * *", "30 9 * * 1-5", "0 0 L * *",
                                              "0 0 29 2 *", "0 0 * 2 0#5"};
    struct err err;
    struct zone *zone = zone_new(NULL, "Europe/Berlin", &err);
    assert_non_null(zone);
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        struct cron cron = parsed(expressions[i]);
        const int64_t begun_us = clock_mono_us();
        for (int64_t n = 0; n < 1000; n++)
            cron_next(&cron, zone, (1790000000 + n * 86399) * US);
        assert_true(clock_mono_us() - begun_us < US);
    }
    zone_free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next),     cmocka_unit_test(test_edges),
        cmocka_unit_test(test_every),    cmocka_unit_test(test_describe),
        cmocka_unit_test(test_is_quick),
    };
    struct err err;
    utc = zone_new(NULL, "UTC", &err);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    zone_free(utc);
    return failed;
}
