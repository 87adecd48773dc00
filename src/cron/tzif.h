/* The bytes of a TZif file (RFC 9636) as a table of changes of a zone's offset. Trusts nothing in
 * them. */
#ifndef CRON_TZIF_H
#define CRON_TZIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tzif_change {
    int64_t at_s; /* UTC; of the first one INT64_MIN */
    int32_t offset_s;
};

/* Each change is later than the one before it and has another offset. */
struct tzif {
    struct tzif_change *changes; /* at least one */
    size_t count, capacity;
};

/* Changes by the footer's rule are written out up to that year. NULL, or what is wrong with the
 * bytes; then there is nothing to clear. */
const char *tzif_read(struct tzif *tzif, const void *bytes, size_t size, int year_end);
void tzif_init_fixed(struct tzif *tzif, int32_t offset_s);
void tzif_clear(struct tzif *tzif);

#endif
