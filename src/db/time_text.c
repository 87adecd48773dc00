#include "db/time_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

const char *db_time_text(char text[DB_TIME_BYTES], int64_t at_us)
{
    if (at_us == INT64_MAX || at_us == INT64_MIN)
        return at_us == INT64_MAX ? "infinity" : "-infinity";
    int64_t seconds = at_us / 1000000, rest_us = at_us % 1000000;
    if (rest_us < 0) {
        rest_us += 1000000;
        seconds--;
    }
    struct tm date;
    time_t as_time = (time_t)seconds;
    gmtime_r(&as_time, &date);
    size_t length = strftime(text, DB_TIME_BYTES, "%Y-%m-%d %H:%M:%S", &date);
    snprintf(text + length, DB_TIME_BYTES - length, ".%06" PRId64 "+00", rest_us);
    return text;
}
