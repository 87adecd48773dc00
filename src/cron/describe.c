/* cron_describe: what an expression means, in words. Works from the sets of values, so that what
 * means the same reads the same. */
#include "cron/describe.h"

#include "cron/words.h"

#include <stdio.h>

enum { TIMES_MAX = 8 /* so many times of day are listed one by one */ };

struct times {
    struct set seconds, minutes, hours;
};

struct clock_text {
    char text[16];
};

static const char *clock_text(struct clock_text *clock, int hour, int minute, int second)
{
    int length = snprintf(clock->text, sizeof clock->text, "%02d:%02d", hour, minute);
    if (second > 0)
        snprintf(clock->text + length, sizeof clock->text - (size_t)length, ":%02d", second);
    return clock->text;
}

/* ---- Times of day ---- */

static void add_listed_times(const struct times *times, struct buf *buf)
{
    const int minutes = times->minutes.count, second = set_first(&times->seconds);
    struct words words;
    struct clock_text clock;
    words_init(&words);
    for (int i = 0; i < times->hours.count * minutes; i++)
        words_add(&words, "%s",
                  clock_text(&clock, times->hours.values[i / minutes],
                             times->minutes.values[i % minutes], second));
    buf_add_text(buf, "at ");
    words_join(&words, buf);
    words_clear(&words);
}

/* At one minute of several hours. False: it is nothing of that kind. */
static bool add_hourly(const struct times *times, struct buf *buf)
{
    const struct set *hours = &times->hours;
    const int minute = set_first(&times->minutes), second = set_first(&times->seconds);
    struct clock_text first, last;
    if (times->minutes.shape != SET_ONE || times->seconds.shape != SET_ONE)
        return false;
    if (hours->shape == SET_ALL && second == 0 && minute > 0) {
        buf_printf(buf, "at %d minute%s past every hour", minute, minute == 1 ? "" : "s");
        return true;
    }
    if (hours->shape == SET_ALL && second == 0) {
        buf_add_text(buf, "every hour");
        return true;
    }
    if (hours->shape != SET_RUN && (hours->shape != SET_STEP || hours->count == 2))
        return false;
    buf_add_text(buf, "every ");
    if (hours->shape == SET_STEP)
        buf_printf(buf, "%d hours", hours->step);
    else
        buf_add_text(buf, "hour");
    buf_printf(buf, " from %s to %s", clock_text(&first, set_first(hours), minute, second),
               clock_text(&last, set_last(hours), minute, second));
    return true;
}

/* ---- Intervals ---- */

/* Minutes of an hour, or seconds of a minute. */
static void add_part(const struct set *set, const char *unit, struct buf *buf)
{
    struct words words;
    switch (set->shape) {
    case SET_ALL:
        buf_printf(buf, "every %s", unit);
        return;
    case SET_STEP:
        buf_printf(buf, "every %d %ss", set->step, unit);
        if (!set->even || set_first(set) > 0)
            buf_printf(buf, " from %s %d to %d", unit, set_first(set), set_last(set));
        return;
    case SET_RUN:
        buf_printf(buf, "every %s from %d to %d", unit, set_first(set), set_last(set));
        return;
    case SET_ONE:
    case SET_LIST:
        words_init(&words);
        for (int i = 0; i < set->count; i++)
            words_add(&words, "%d", set->values[i]);
        buf_printf(buf, "at %s%s ", unit, set->count == 1 ? "" : "s");
        words_join(&words, buf);
        words_clear(&words);
        return;
    }
}

/* Whether it goes on evenly from one hour, or minute, to the next. */
static bool is_even(const struct set *set)
{
    return set->shape == SET_ALL || (set->even && set_first(set) == 0);
}

static bool is_on_the_minute(const struct times *times)
{
    return times->seconds.shape == SET_ONE && set_first(&times->seconds) == 0;
}

static void add_within_hour(const struct times *times, struct buf *buf)
{
    if (!is_on_the_minute(times)) {
        add_part(&times->seconds, "second", buf);
        if (times->minutes.shape == SET_ALL) {
            buf_add_text(buf, is_even(&times->seconds) ? "" : " of every minute");
            return;
        }
        buf_add_text(buf, ", ");
    }
    add_part(&times->minutes, "minute", buf);
    if (times->hours.shape == SET_ALL && !is_even(&times->minutes))
        buf_add_text(buf, " of every hour");
}

static void add_hours(const struct set *hours, struct buf *buf)
{
    struct words words;
    if (hours->shape == SET_ALL)
        return;
    if (hours->shape == SET_ONE || hours->shape == SET_RUN) {
        buf_printf(buf, " from %02d:00 to %02d:59", set_first(hours), set_last(hours));
        return;
    }
    words_init(&words);
    for (int i = 0; i < hours->count; i++)
        words_add(&words, "%02d", hours->values[i]);
    buf_add_text(buf, " in the hours ");
    words_join(&words, buf);
    words_clear(&words);
}

/* ---- All ---- */

/* Whole days are said in hours: a day of the calendar may have 23 or 25. */
static void add_every(int64_t every_us, struct buf *buf)
{
    const int64_t total_s = every_us / 1000000;
    const int64_t counts[] = {total_s / 3600, total_s / 60 % 60, total_s % 60};
    static const char *const units[] = {"hour", "minute", "second"};
    static const int sizes[] = {3600, 60, 1};
    buf_add_text(buf, "every");
    for (int i = 0; i < 3; i++)
        if (total_s == sizes[i])
            buf_printf(buf, " %s", units[i]);
        else if (counts[i] > 0)
            buf_printf(buf, " %lld %s%s", (long long)counts[i], units[i],
                       counts[i] == 1 ? "" : "s");
}

void cron_describe(const struct cron *cron, struct buf *buf)
{
    const struct times times = {set_read(cron->seconds, 0, 60), set_read(cron->minutes, 0, 60),
                                set_read(cron->hours, 0, 24)};
    bool listed = false;
    if (cron->every_us) {
        add_every(cron->every_us, buf);
        return;
    }
    if (!add_hourly(&times, buf)) {
        listed =
            times.seconds.shape == SET_ONE && times.hours.count * times.minutes.count <= TIMES_MAX;
        if (listed) {
            add_listed_times(&times, buf);
        } else {
            add_within_hour(&times, buf);
            add_hours(&times.hours, buf);
        }
    }
    describe_days(cron, listed, buf);
}
