/* A time as a person gives it to --run-at: from now (+10s, +1h30m), or what PostgreSQL reads as a
 * timestamp. */
#ifndef CLI_WHEN_H
#define CLI_WHEN_H

#include <stdbool.h>
#include <stddef.h>

/* True when text is a distance from now; *ms is it. Units: ms, s, m, h, d; at most ten years. */
bool when_parse_distance(const char *text, long long *ms);

#endif
