#include "cron/civil.h"

#include <stdbool.h>

enum {
    ERA_YEARS = 400,
    ERA_DAYS = 146097,
    EPOCH_DAYS = 719468 /* from 0000-03-01 to 1970-01-01 */
};

static int64_t divide_down(int64_t value, int64_t by)
{
    return value >= 0 ? value / by : -((-(value + 1)) / by) - 1;
}

/* Years begin in March here, so that the leap day is the last of its year. */
int64_t civil_days(int year, int month, int day)
{
    int64_t shifted = month <= 2 ? (int64_t)year - 1 : year;
    int64_t era = divide_down(shifted, ERA_YEARS);
    int64_t year_of_era = shifted - era * ERA_YEARS;
    int64_t month_of_year = (month + 9) % 12;
    int64_t day_of_year = (153 * month_of_year + 2) / 5;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - EPOCH_DAYS + day - 1;
}

struct civil civil_of_days(int64_t days)
{
    int64_t shifted = days + EPOCH_DAYS;
    int64_t era = divide_down(shifted, ERA_DAYS);
    int64_t day_of_era = shifted - era * ERA_DAYS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_of_year = (5 * day_of_year + 2) / 153;
    struct civil civil = {
        .day = (int)(day_of_year - (153 * month_of_year + 2) / 5 + 1),
        .month = (int)(month_of_year < 10 ? month_of_year + 3 : month_of_year - 9),
    };
    civil.year = (int)(year_of_era + era * ERA_YEARS + (civil.month <= 2 ? 1 : 0));
    return civil;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int civil_month_days(int year, int month)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : lengths[month - 1];
}

int civil_weekday(int64_t days)
{
    int64_t weekday = (days + 4) % 7; /* 1970-01-01 was a Thursday */
    return (int)(weekday < 0 ? weekday + 7 : weekday);
}

int64_t civil_day_of_seconds(int64_t s)
{
    return divide_down(s, CIVIL_DAY_S);
}
