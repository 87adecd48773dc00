/* A time as a person gives it to --run-at or --since: from now (+10s, -1h30m), or what PostgreSQL
 * reads as a timestamp; and a duration (30s). */
#ifndef CLI_WHEN_H
#define CLI_WHEN_H

#include <stdbool.h>
#include <stddef.h>

enum { WHEN_SECONDS_BYTES = 32 };

/* A time as two parameters of a statement, of which one is NULL: coalesce($1::timestamptz, now() +
 * make_interval(secs => $2)). Lives in place: from_now points into it. */
struct when {
    const char *at;       /* borrowed; for PostgreSQL to read */
    const char *from_now; /* seconds */
    char seconds[WHEN_SECONDS_BYTES];
};

/* text NULL: both are NULL. */
void when_set(struct when *when, const char *text);

/* True when text is a distance from now, which begins with + or -; *ms is it. Units: ms, s, m, h,
 * d; at most ten years. */
bool when_parse_distance(const char *text, long long *ms);
/* The same without a sign: 30s, 1h30m. */
bool when_parse_duration(const char *text, long long *ms);

/* Milliseconds as seconds: "-1.500". */
void when_print_seconds(char text[WHEN_SECONDS_BYTES], long long ms);

#endif
