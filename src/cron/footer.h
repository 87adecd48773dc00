/* The last line of a TZif file: the rule by which a zone changes its clock from then on, in the
 * form of POSIX's TZ variable, "CET-1CEST,M3.5.0,M10.5.0/3" (RFC 9636, 3.3). */
#ifndef CRON_FOOTER_H
#define CRON_FOOTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum footer_form {
    FOOTER_JULIAN,   /* Jn: day 1-365, 29 February does not count */
    FOOTER_ZERO_DAY, /* n: day 0-365 */
    FOOTER_WEEKDAY   /* Mm.w.d: the w-th weekday d of month m, 5 is the last */
};

struct footer_change {
    enum footer_form form;
    int day; /* of the year, or 0-6 from Sunday */
    int month, week;
    int32_t time_s; /* of the local time before the change, -167 to 167 hours */
};

struct footer {
    int32_t standard_s; /* offset from UTC */
    bool has_summer;
    int32_t summer_s;
    struct footer_change to_summer, to_standard;
};

/* False: it is none. */
bool footer_parse(struct footer *footer, const char *text, size_t length);

/* When the change comes in that year, in local time, as seconds since 1970. */
int64_t footer_change_local_s(const struct footer_change *change, int year);

#endif
