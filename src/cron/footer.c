#include "cron/footer.h"

#include "cron/civil.h"

#include <string.h>

enum {
    NAME_MIN = 3,
    HOUR_S = 3600,
    OFFSET_HOURS_MAX = 24,
    TIME_HOURS_MAX = 167,
    MARCH = 3,
    JULIAN_MARCH = 60 /* J60 is 1 March in every year */
};

struct cursor {
    const char *at, *end;
};

static bool cursor_take(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool read_number(struct cursor *cursor, int least, int most, int *value)
{
    int number = 0, digits = 0;
    while (cursor->at < cursor->end && is_digit(*cursor->at)) {
        if (++digits > 3)
            return false;
        number = number * 10 + (*cursor->at++ - '0');
    }
    *value = number;
    return digits > 0 && number >= least && number <= most;
}

static bool is_quoted_name(char c)
{
    return is_letter(c) || is_digit(c) || c == '+' || c == '-';
}

static bool skip_name(struct cursor *cursor)
{
    bool quoted = cursor_take(cursor, '<');
    const char *from = cursor->at;
    while (cursor->at < cursor->end &&
           (quoted ? is_quoted_name(*cursor->at) : is_letter(*cursor->at)))
        cursor->at++;
    return cursor->at - from >= NAME_MIN && (!quoted || cursor_take(cursor, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(struct cursor *cursor, int hours_max, int32_t *time_s)
{
    int hours, minutes = 0, seconds = 0;
    bool negative = cursor_take(cursor, '-');
    if (!negative)
        cursor_take(cursor, '+');
    if (!read_number(cursor, 0, hours_max, &hours))
        return false;
    if (cursor_take(cursor, ':')) {
        if (!read_number(cursor, 0, 59, &minutes))
            return false;
        if (cursor_take(cursor, ':') && !read_number(cursor, 0, 59, &seconds))
            return false;
    }
    int32_t total = hours * HOUR_S + minutes * 60 + seconds;
    *time_s = negative ? -total : total;
    return true;
}

/* POSIX counts west of Greenwich as positive. */
static bool read_offset(struct cursor *cursor, int32_t *offset_s)
{
    if (!read_time(cursor, OFFSET_HOURS_MAX, offset_s))
        return false;
    *offset_s = -*offset_s;
    return true;
}

static bool read_day(struct cursor *cursor, struct footer_change *change)
{
    if (cursor_take(cursor, 'J')) {
        change->form = FOOTER_JULIAN;
        return read_number(cursor, 1, 365, &change->day);
    }
    if (cursor_take(cursor, 'M')) {
        change->form = FOOTER_WEEKDAY;
        return read_number(cursor, 1, 12, &change->month) && cursor_take(cursor, '.') &&
               read_number(cursor, 1, 5, &change->week) && cursor_take(cursor, '.') &&
               read_number(cursor, 0, 6, &change->day);
    }
    change->form = FOOTER_ZERO_DAY;
    return read_number(cursor, 0, 365, &change->day);
}

static bool read_change(struct cursor *cursor, struct footer_change *change)
{
    change->time_s = 2 * HOUR_S;
    return cursor_take(cursor, ',') && read_day(cursor, change) &&
           (!cursor_take(cursor, '/') || read_time(cursor, TIME_HOURS_MAX, &change->time_s));
}

bool footer_parse(struct footer *footer, const char *text, size_t length)
{
    struct cursor cursor = {text, text + length};
    memset(footer, 0, sizeof *footer);
    if (!skip_name(&cursor) || !read_offset(&cursor, &footer->standard_s))
        return false;
    if (cursor.at == cursor.end)
        return true;
    footer->has_summer = true;
    footer->summer_s = footer->standard_s + HOUR_S;
    if (!skip_name(&cursor))
        return false;
    if (cursor.at < cursor.end && *cursor.at != ',' && !read_offset(&cursor, &footer->summer_s))
        return false;
    return read_change(&cursor, &footer->to_summer) && read_change(&cursor, &footer->to_standard) &&
           cursor.at == cursor.end;
}

static int64_t weekday_of_month(const struct footer_change *change, int year)
{
    int64_t first = civil_days(year, change->month, 1);
    int day = (change->day - civil_weekday(first) + 7) % 7 + (change->week - 1) * 7;
    if (day >= civil_month_days(year, change->month))
        day -= 7;
    return first + day;
}

int64_t footer_change_local_s(const struct footer_change *change, int year)
{
    int64_t day = civil_days(year, 1, 1);
    switch (change->form) {
    case FOOTER_JULIAN:
        day += change->day - 1;
        if (change->day >= JULIAN_MARCH && civil_month_days(year, MARCH - 1) == 29)
            day++;
        break;
    case FOOTER_ZERO_DAY:
        day += change->day;
        break;
    case FOOTER_WEEKDAY:
        day = weekday_of_month(change, year);
        break;
    }
    return day * CIVIL_DAY_S + change->time_s;
}
