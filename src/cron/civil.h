/* Dates of the Gregorian calendar as numbers of days since 1970-01-01. */
#ifndef CRON_CIVIL_H
#define CRON_CIVIL_H

#include <stdint.h>

enum { CIVIL_DAY_S = 86400 };

struct civil {
    int year;
    int month; /* 1-12 */
    int day;   /* 1-31 */
};

/* day may lie outside the month. */
int64_t civil_days(int year, int month, int day);
struct civil civil_of_days(int64_t days);

int civil_month_days(int year, int month);
int civil_weekday(int64_t days);         /* 0 is Sunday */
int64_t civil_day_of_seconds(int64_t s); /* rounds down */

#endif
