/* What a provider's headers say about its rate: numbers with bounds out of strings that anyone may
 * have written. Pure; nothing here knows a clock. */
#ifndef EMAIL_RATE_H
#define EMAIL_RATE_H

#include <stdint.h>

enum {
    RATE_UNKNOWN = -1,
    RATE_MAX_COUNT = 1000000,
    RATE_MAX_WAIT_MS = 24 * 60 * 60 * 1000 /* nobody is believed who asks for more than a day */
};

struct rate {
    int64_t limit, remaining; /* requests a window, and left in it; RATE_UNKNOWN, or 0 and more */
    int64_t reset_ms;         /* until the window ends; RATE_UNKNOWN, or 0 and more */
};

/* Reads the values of ratelimit-limit, -remaining and -reset (seconds, decimals allowed). NULL and
 * what is no number become RATE_UNKNOWN; larger values are cut to the bounds. Of a list ("10,
 * 10;w=1") the first number counts. */
void rate_read(struct rate *rate, const char *limit, const char *remaining, const char *reset);

/* How long retry-after asks to wait: whole or decimal seconds, or an HTTP date in one of the three
 * forms of RFC 9110 section 5.6.7, reckoned from now_s (Unix time). At most RATE_MAX_WAIT_MS, 0 for
 * a date that has passed, RATE_UNKNOWN when value is NULL or neither. */
int64_t rate_wait_ms(const char *value, int64_t now_s);

#endif
