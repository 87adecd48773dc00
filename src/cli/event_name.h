/* The name of a stored event of others, as the commands show and take it: SOURCE:ID. */
#ifndef CLI_EVENT_NAME_H
#define CLI_EVENT_NAME_H

#include <stdbool.h>

struct cli;

/* A source has no colon. *source is the caller's to free; text NULL: both are NULL. False: told as
 * a usage error. */
bool event_name_split(const struct cli *cli, const char *text, char **source, const char **id);

/* There is none of this name; returns the exit status. */
int event_name_missing(const struct cli *cli, const char *text);

#endif
