#include "http/retry_after.h"

#include <curl/curl.h>
#include <string.h>

static int64_t capped_ms(int64_t seconds)
{
    if (seconds < 0)
        return 0;
    return seconds > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS : seconds * 1000;
}

static int64_t seconds_read(const char *digits)
{
    int64_t seconds = 0;
    for (; *digits; digits++)
        if (seconds <= RETRY_AFTER_MAX_MS / 1000)
            seconds = seconds * 10 + (*digits - '0');
    return seconds;
}

int64_t retry_after_ms(const char *value, const char *date, int64_t now_s)
{
    if (!*value)
        return -1;
    if (value[strspn(value, "0123456789")] == '\0')
        return capped_ms(seconds_read(value));
    /* All forms of a date that HTTP knows begin with the day's name; curl would read more. */
    if (!strchr("MTWFS", value[0]))
        return -1;
    int64_t until_s = curl_getdate(value, NULL);
    if (until_s < 0)
        return -1;
    int64_t from_s = curl_getdate(date, NULL);
    return capped_ms(until_s - (from_s < 0 ? now_s : from_s));
}
