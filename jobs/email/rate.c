#include "rate.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct date {
    int year, month, day, hour, minute, second; /* month from 1 */
};

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* Reads decimal digits into thousandths, rounded up and stopped at max; NULL without a digit. */
static const char *read_thousandths(const char *text, int64_t max, int64_t *value)
{
    int64_t scale = 100;
    if (*text < '0' || *text > '9')
        return NULL;
    for (*value = 0; *text >= '0' && *text <= '9'; text++)
        if (*value <= max)
            *value = *value * 10 + (*text - '0') * 1000;
    if (*text == '.') {
        bool rest = false;
        for (text++; *text >= '0' && *text <= '9'; text++, scale /= 10) {
            *value += (*text - '0') * scale;
            rest = rest || (scale == 0 && *text != '0');
        }
        *value += rest;
    }
    if (*value > max)
        *value = max;
    return text;
}

static int64_t read_count(const char *text)
{
    int64_t value;
    const char *end =
        text ? read_thousandths(skip_blanks(text), RATE_MAX_COUNT * 1000LL, &value) : NULL;
    return end && (!*end || strchr(" \t,;", *end)) ? value / 1000 : RATE_UNKNOWN;
}

static int64_t read_seconds(const char *text)
{
    int64_t value;
    const char *end = text ? read_thousandths(skip_blanks(text), RATE_MAX_WAIT_MS, &value) : NULL;
    return end && (!*end || strchr(" \t,;", *end)) ? value : RATE_UNKNOWN;
}

void rate_read(struct rate *rate, const char *limit, const char *remaining, const char *reset)
{
    rate->limit = read_count(limit);
    rate->remaining = read_count(remaining);
    rate->reset_ms = read_seconds(reset);
}

static int month_number(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int month = 1; month <= 12; month++)
        if (strncmp(name, names + (month - 1) * 3, 3) == 0)
            return month;
    return 0;
}

/* Days from 1970-01-01 in the Gregorian calendar, reckoned in years that begin in March. */
static int64_t date_days(const struct date *date)
{
    int64_t year = date->month > 2 ? date->year : date->year - 1;
    int64_t month = (date->month + 9) % 12;
    return year * 365 + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + date->day -
           1 - 719468;
}

static int64_t date_seconds(const struct date *date)
{
    return date_days(date) * 86400 + date->hour * 3600 + date->minute * 60 + date->second;
}

static bool date_is_valid(const struct date *date)
{
    return date->year >= 1970 && date->month >= 1 && date->day >= 1 && date->day <= 31 &&
           date->hour >= 0 && date->hour < 24 && date->minute >= 0 && date->minute < 60 &&
           date->second >= 0 && date->second <= 60;
}

/* The latest year with these two digits that lies at most 50 years ahead (RFC 9110). */
static int full_year(int year, int64_t now_s)
{
    int now_year = (int)(1970 + now_s / 31556952);
    int full = now_year - now_year % 100 + 100 + year;
    while (full > now_year + 50)
        full -= 100;
    return full;
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool date_read_current(struct date *date, const char *text)
{
    char month[4];
    int end = 0;
    sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &date->day, month,
           &date->year, &date->hour, &date->minute, &date->second, &end);
    date->month = end ? month_number(month) : 0;
    return end && !*skip_blanks(text + end);
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool date_read_rfc850(struct date *date, const char *text, int64_t now_s)
{
    char month[4];
    int end = 0;
    sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &date->day, month,
           &date->year, &date->hour, &date->minute, &date->second, &end);
    if (!end || date->year < 0)
        return false;
    date->month = month_number(month);
    date->year = full_year(date->year, now_s);
    return !*skip_blanks(text + end);
}

/* Sun Nov  6 08:49:37 1994 */
static bool date_read_asctime(struct date *date, const char *text)
{
    char month[4];
    int end = 0;
    sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &date->day, &date->hour,
           &date->minute, &date->second, &date->year, &end);
    date->month = end ? month_number(month) : 0;
    return end && !*skip_blanks(text + end);
}

static bool date_read(struct date *date, const char *text, int64_t now_s)
{
    return (date_read_current(date, text) || date_read_rfc850(date, text, now_s) ||
            date_read_asctime(date, text)) &&
           date_is_valid(date);
}

int64_t rate_wait_ms(const char *value, int64_t now_s)
{
    struct date date = {0};
    int64_t wait_ms, until_s;
    if (!value)
        return RATE_UNKNOWN;
    value = skip_blanks(value);
    if ((wait_ms = read_seconds(value)) != RATE_UNKNOWN)
        return wait_ms;
    if (!date_read(&date, value, now_s))
        return RATE_UNKNOWN;
    until_s = date_seconds(&date);
    if (until_s <= now_s)
        return 0;
    return until_s - now_s < RATE_MAX_WAIT_MS / 1000 ? (until_s - now_s) * 1000 : RATE_MAX_WAIT_MS;
}
