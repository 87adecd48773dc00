#include "cron/cron.h"

#include "cron/civil.h"

enum { LENGTH_MIN = 28, HOUR_S = 3600, MINUTE_S = 60, YEAR_FIRST = 1900 };

static const int64_t SECOND_US = 1000000;

/* The first set bit from `from` on; -1: there is none. */
static int next_bit(uint64_t mask, int from)
{
    mask = from < 64 ? mask & (~UINT64_C(0) << from) : 0;
    return mask ? __builtin_ctzll(mask) : -1;
}

/* ---- Local time ---- */

static int first_of_hour(const struct cron *cron, int hour)
{
    return hour * HOUR_S + next_bit(cron->minutes, 0) * MINUTE_S + next_bit(cron->seconds, 0);
}

static int first_of_day(const struct cron *cron)
{
    return first_of_hour(cron, next_bit(cron->hours, 0));
}

/* The first matching second of a day from `from` on; -1: there is none. */
static int next_in_day(const struct cron *cron, int from)
{
    int from_hour = from / HOUR_S, from_minute = from / MINUTE_S % 60;
    int hour = next_bit(cron->hours, from_hour);
    if (hour == from_hour) {
        int minute = next_bit(cron->minutes, from_minute);
        int second = next_bit(cron->seconds, minute == from_minute ? from % MINUTE_S : 0);
        if (minute >= 0 && second < 0) {
            minute = next_bit(cron->minutes, minute + 1);
            second = next_bit(cron->seconds, 0);
        }
        if (minute >= 0)
            return hour * HOUR_S + minute * MINUTE_S + second;
        hour = next_bit(cron->hours, from_hour + 1);
    }
    return hour < 0 ? -1 : first_of_hour(cron, hour);
}

static uint32_t month_mask(const struct cron *cron, int year, int month)
{
    if (!(cron->months >> month & 1))
        return 0;
    return cron->month[civil_month_days(year, month) - LENGTH_MIN]
                      [civil_weekday(civil_days(year, month, 1))];
}

/* The first matching day from `days` on; CRON_NEVER. */
static int64_t next_day(const struct cron *cron, int64_t days)
{
    struct civil civil = civil_of_days(days);
    while (civil.year < CRON_YEAR_END) {
        int day = next_bit(month_mask(cron, civil.year, civil.month), civil.day);
        if (day > 0)
            return civil_days(civil.year, civil.month, day);
        civil.day = 1;
        if (++civil.month > 12) {
            civil.month = 1;
            civil.year++;
        }
    }
    return CRON_NEVER;
}

/* The first matching local second from local_s on; CRON_NEVER. */
static int64_t next_local(const struct cron *cron, int64_t local_s)
{
    int64_t today = civil_day_of_seconds(local_s);
    int64_t day = next_day(cron, today);
    if (day == today) {
        int second = next_in_day(cron, (int)(local_s - today * CIVIL_DAY_S));
        if (second >= 0)
            return day * CIVIL_DAY_S + second;
        day = next_day(cron, today + 1);
    }
    return day == CRON_NEVER ? CRON_NEVER : day * CIVIL_DAY_S + first_of_day(cron);
}

/* ---- Time zones ---- */

/* A stretch of local time without a match from from_s on, and the match that ends it. */
struct found {
    int64_t from_s, match_s;
};

static int64_t next_local_known(const struct cron *cron, int64_t local_s, struct found *found)
{
    if (local_s < found->from_s || local_s > found->match_s)
        *found = (struct found){local_s, next_local(cron, local_s)};
    return found->match_s;
}

/* From which local time on the span is looked through, when from_s is the first moment wanted. At
 * the start of a span a fixed time is due that the change skipped; one that the clock had got to
 * before has fired. */
static int64_t span_start(const struct cron *cron, const struct zone_span *span, int64_t from_s)
{
    if (!cron->interval && from_s == span->from_s)
        return span->reached_s;
    int64_t local_s = from_s + span->offset_s;
    return !cron->interval && local_s < span->reached_s ? span->reached_s : local_s;
}

static int64_t next_in_zone(const struct cron *cron, const struct zone *zone, int64_t from_s)
{
    struct found found = {0, -1};
    for (;;) {
        struct zone_span span = zone_span(zone, from_s);
        int64_t match_s = next_local_known(cron, span_start(cron, &span, from_s), &found);
        if (match_s == CRON_NEVER)
            return CRON_NEVER;
        int64_t at_s = match_s - span.offset_s;
        if (at_s < from_s)
            at_s = from_s; /* skipped by the change that the span begins with */
        if (at_s < span.until_s)
            return at_s;
        from_s = span.until_s;
    }
}

static int64_t next_every(const struct cron *cron, int64_t after_us)
{
    int64_t since_us;
    if (__builtin_sub_overflow(after_us, cron->anchor_us, &since_us))
        return CRON_NEVER;
    int64_t into_us = since_us % cron->every_us;
    if (into_us < 0)
        into_us += cron->every_us;
    int64_t next_us;
    return __builtin_add_overflow(after_us, cron->every_us - into_us, &next_us) ? CRON_NEVER
                                                                                : next_us;
}

int64_t cron_next(const struct cron *cron, const struct zone *zone, int64_t after_us)
{
    const int64_t first_us = civil_days(YEAR_FIRST, 1, 1) * CIVIL_DAY_S * SECOND_US;
    const int64_t end_us = civil_days(CRON_YEAR_END, 1, 1) * CIVIL_DAY_S * SECOND_US;
    if (after_us < first_us)
        after_us = first_us;
    if (after_us >= end_us)
        return CRON_NEVER;
    if (cron->every_us)
        return next_every(cron, after_us);
    int64_t after_s = after_us / SECOND_US - (after_us % SECOND_US < 0 ? 1 : 0);
    int64_t next_s = next_in_zone(cron, zone, after_s + 1);
    return next_s == CRON_NEVER ? CRON_NEVER : next_s * SECOND_US;
}
