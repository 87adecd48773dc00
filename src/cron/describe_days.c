/* On which days: months, days of the month, weekdays. */
#include "cron/describe.h"
#include "cron/words.h"

#include <string.h>

enum {
    STEPS_MIN = 4, /* fewer days are listed one by one */
    LAST_BACK_MAX = 30,
    WORKDAYS = 0x3E, /* Monday to Friday */
    WEEKEND = 0x41
};

static const char *const weekday_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                            "Thursday", "Friday", "Saturday"};

/* ---- Months ---- */

static bool all_months(const struct cron *cron)
{
    return set_read(cron->months, 1, 12).shape == SET_ALL;
}

static void add_months(const struct cron *cron, struct buf *buf)
{
    static const char *const names[] = {"",        "January",  "February", "March",  "April",
                                        "May",     "June",     "July",     "August", "September",
                                        "October", "November", "December"};
    struct set set = set_read(cron->months, 1, 12);
    struct words words;
    if (set.shape == SET_ALL) {
        buf_add_text(buf, "the month");
        return;
    }
    words_init(&words);
    if (set.shape == SET_RUN)
        words_add(&words, "%s to %s", names[set_first(&set)], names[set_last(&set)]);
    for (int i = 0; set.shape != SET_RUN && i < set.count; i++)
        words_add(&words, "%s", names[set.values[i]]);
    words_join(&words, buf);
    words_clear(&words);
}

static void add_group(const struct words *words, const struct cron *cron, const char *of,
                      struct buf *buf)
{
    words_join(words, buf);
    if (strcmp(of, " in ") == 0 && all_months(cron))
        return;
    buf_add_text(buf, of);
    add_months(cron, buf);
}

/* ---- Days of the month ---- */

static void add_numbered_days(uint32_t mask, struct words *words)
{
    struct set set = set_read(mask, 1, 31);
    if (set.shape == SET_STEP && set.count >= STEPS_MIN) {
        words_add(words, "every %d%s day from the %d%s to the %d%s", set.step,
                  words_ordinal_ending(set.step), set_first(&set),
                  words_ordinal_ending(set_first(&set)), set_last(&set),
                  words_ordinal_ending(set_last(&set)));
        return;
    }
    for (int day = 1, last; day <= 31; day = last + 1) {
        last = day;
        if (!(mask >> day & 1))
            continue;
        while (last < 31 && mask >> (last + 1) & 1)
            last++;
        if (last < day + 2)
            last = day;
        if (last == day)
            words_add(words, "the %d%s", day, words_ordinal_ending(day));
        else
            words_add(words, "the %d%s to the %d%s", day, words_ordinal_ending(day), last,
                      words_ordinal_ending(last));
    }
}

static void add_month_days(const struct cron_days *days, struct words *words)
{
    if (days->month_days)
        add_numbered_days(days->month_days, words);
    for (int day = 1; day <= 31; day++)
        if (days->nearest >> day & 1)
            words_add(words, "the weekday nearest to the %d%s", day, words_ordinal_ending(day));
    for (int back = LAST_BACK_MAX; back > 0; back--)
        if (days->before_last >> back & 1)
            words_add(words, "the %d%s day before the last", back, words_ordinal_ending(back));
    if (days->last_workday)
        words_add(words, "the last weekday (Monday to Friday)");
    if (days->before_last & 1)
        words_add(words, "the last day");
}

/* ---- Weekdays ---- */

static void add_weekdays(const struct cron_days *days, struct words *words)
{
    if (days->weekdays == WORKDAYS) {
        words_add(words, "weekdays (Monday to Friday)");
        return;
    }
    if (days->weekdays == WEEKEND) {
        words_add(words, "weekends (Saturday and Sunday)");
        return;
    }
    for (int i = 1; i <= 7; i++) /* the week begins on Monday, as people see it */
        if (days->weekdays >> (i % 7) & 1)
            words_add(words, "%ss", weekday_names[i % 7]);
}

static void add_chosen_weekdays(const struct cron_days *days, struct words *words)
{
    static const char *const ordinals[] = {"first", "second", "third", "fourth", "fifth"};
    for (int nth = 0; nth < 5; nth++)
        for (int i = 1; i <= 7; i++)
            if (days->nth_weekdays[nth] >> (i % 7) & 1)
                words_add(words, "the %s %s", ordinals[nth], weekday_names[i % 7]);
    for (int i = 1; i <= 7; i++)
        if (days->last_weekdays >> (i % 7) & 1)
            words_add(words, "the last %s", weekday_names[i % 7]);
}

/* ---- All ---- */

static bool is_every_day(const struct cron *cron)
{
    for (int first = 0; first < 7; first++)
        if (cron->month[3][first] != 0xFFFFFFFE)
            return false;
    return true;
}

void describe_days(const struct cron *cron, bool every_day, struct buf *buf)
{
    static const char *const of[] = {" of ", " in ", " of "};
    struct words groups[3];
    int added = 0;
    if (is_every_day(cron)) {
        if (every_day)
            buf_add_text(buf, " every day");
        if (!all_months(cron)) {
            buf_add_text(buf, " in ");
            add_months(cron, buf);
        }
        return;
    }
    for (int i = 0; i < 3; i++)
        words_init(&groups[i]);
    add_month_days(&cron->days, &groups[0]);
    add_weekdays(&cron->days, &groups[1]);
    add_chosen_weekdays(&cron->days, &groups[2]);
    for (int i = 0; i < 3; i++) {
        if (groups[i].count > 0) {
            buf_add_text(buf, added++ > 0 ? ", and on " : " on ");
            add_group(&groups[i], cron, of[i], buf);
        }
        words_clear(&groups[i]);
    }
}
