/* Cron expressions: what they mean, when they fire next, and in words. Pure: no clock, no I/O; time
 * zones come from cron/zone.h. docs/schedules.md says what an expression may hold and what happens
 * at a clock change; the comments here are the contract for callers. */
#ifndef CRON_CRON_H
#define CRON_CRON_H

#include "base/buf.h"
#include "base/err.h"
#include "cron/zone.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CRON_TEXT_MAX_BYTES = 256, /* longer expressions are refused */
    CRON_YEAR_END = 2300       /* no fire time in this year or later */
};

#define CRON_NEVER INT64_MAX

/* Which days of a month an expression names: bit n for number n (of weekdays: 0 is Sunday). */
struct cron_days {
    bool month_day_any, weekday_any; /* the field is * or ? */
    uint32_t month_days;             /* 1-31 */
    uint32_t before_last;            /* L is bit 0, L-n is bit n */
    uint32_t nearest;                /* nW: the weekday nearest to day n, in the same month */
    bool last_workday;               /* LW */
    uint8_t weekdays;                /* 0-6 */
    uint8_t last_weekdays;           /* nL: the last one of the month */
    uint8_t nth_weekdays[5];         /* n#1 to n#5 */
};

/* A parsed expression; plain data, nothing to free. Written by cron_parse only, but for anchor_us.
 */
struct cron {
    uint64_t seconds, minutes; /* bit n: fires at n */
    uint32_t hours;
    uint16_t months;       /* 1-12 */
    bool interval;         /* a * or a step in seconds, minutes or hours: see cron_next */
    struct cron_days days; /* as written, for cron_describe */
    uint32_t month[4][7];  /* by length - 28 and weekday of the 1st: bit n, fires on day n */
    int64_t every_us;      /* @every: all of the above is unused; else 0 */
    int64_t anchor_us;     /* @every counts from here, 1970 unless the caller sets it */
};

/* Five fields (minute hour day-of-month month day-of-week), six (second first), or one of @yearly
 * @annually @monthly @weekly @daily @midnight @hourly @every DURATION. False, and ERR_CONFIG with a
 * text that names the field, the value and what is allowed: also for what would never fire (30
 * February). The text of an error is one line of printable characters, whatever text holds. */
bool cron_parse(struct cron *cron, const char *text, struct err *err);

/* The first fire time strictly after after_us, in microseconds since 1970 (UTC); always a whole
 * second, but for @every with an anchor that is none. CRON_NEVER: none before CRON_YEAR_END.
 * after_us may be anything; times before 1900 count as 1900.
 *
 * - Fixed times (interval is false): a time fires when the zone's clock first reaches or passes it.
 *   One that a forward change skips fires at the first moment after the change, and all that are
 *   skipped then fire there as one; one that comes twice fires the first time only.
 * - interval: every moment whose local time matches fires; what is skipped does not, what comes
 * twice fires twice.
 * - @every: anchor_us + n * every_us; the zone means nothing. */
int64_t cron_next(const struct cron *cron, const struct zone *zone, int64_t after_us);

/* Adds what the expression means, in words: "at 09:30 on weekdays (Monday to Friday)". One line
 * without a full stop. Of what it means, not of how it was written: 0,30 and 0/30 read the same. */
void cron_describe(const struct cron *cron, struct buf *buf);

#endif
