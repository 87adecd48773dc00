/* Limits as a person gives them. What comes out is a number for the database, where 0 lifts a
 * limit. */
#ifndef CLI_LIMIT_H
#define CLI_LIMIT_H

#include <stdbool.h>

enum { LIMIT_BYTES = 32 };

/* "10", "0" or "none"; at most 100000. */
bool limit_parse_count(const char *text, char number[LIMIT_BYTES]);

/* Starts a second: "50", "50/s", "90/m", "1000/h", "0.5", "0" or "none"; at most 1000000 a second.
 */
bool limit_parse_rate(const char *text, char number[LIMIT_BYTES]);

#endif
