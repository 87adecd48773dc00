/* Time zones by their IANA names, read from the system's tzdata by this program itself: libc has
 * one zone per process. Not for dates in words, and knows no abbreviations (CEST). */
#ifndef CRON_ZONE_H
#define CRON_ZONE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_DIRECTORY "/usr/share/zoneinfo"

enum {
    ZONE_NAME_MAX_BYTES = 64,
    ZONE_YEAR_END = 2301 /* changes are known until here; later the last offset stays */
};

struct zone; /* immutable; may be used by several threads */

/* Reads a zone. directory: NULL is ZONE_DIRECTORY. Free it with zone_free. NULL, and ERR_CONFIG:
 * no such zone (the text says what names look like, or which package to install when there is no
 * tzdata at all), a name that is none (empty, too long, "..", a leading /), a file that is damaged.
 * UTC (also Etc/UTC, GMT, Etc/GMT) needs no tzdata. Reads one small file: some 50 us. */
struct zone *zone_new(const char *directory, const char *name, struct err *err);
void zone_free(struct zone *zone); /* NULL is fine */

/* The same from the bytes of a TZif file; name is for the error alone. */
struct zone *zone_new_bytes(const char *name, const void *bytes, size_t size, struct err *err);

const char *zone_name(const struct zone *zone); /* as it was asked for */

/* A stretch of time in which the zone's offset does not change: [from_s, until_s). */
struct zone_span {
    int64_t from_s, until_s; /* INT64_MIN, INT64_MAX: no end */
    int32_t offset_s;        /* local time = UTC + offset */
    int64_t reached_s;       /* local time that the clock had got to before from_s (exclusive) */
};

/* The span that holds the moment at_s (seconds since 1970, UTC). */
struct zone_span zone_span(const struct zone *zone, int64_t at_s);
int32_t zone_offset_s(const struct zone *zone, int64_t at_s);

/* Zones that were read, by name, so that each is read once. For one thread. */
struct zone_set {
    struct zone_set_entry *entries;
    const char *directory; /* borrowed; NULL: ZONE_DIRECTORY */
};

void zone_set_init(struct zone_set *set, const char *directory);
void zone_set_clear(struct zone_set *set); /* frees the zones, too: for when tzdata was updated */
/* Borrows; lives until zone_set_clear. NULL and an error as zone_new says. */
const struct zone *zone_set_get(struct zone_set *set, const char *name, struct err *err);

#endif
