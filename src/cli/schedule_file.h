/* Schedules as a person writes them: a file like a crontab, a schedule a line.
 *
 *     # what follows is in this time zone
 *     timezone=Europe/Berlin
 *     report.daily    0 9 * * 1-5   report.run   overlap=skip {"day": "{{fire_time}}"}
 *
 * NAME, CRON (five or six fields, or @hourly, @every 90s, ...), KIND, then options and ARGS as
 * JSON, both of which may be missing. A line of one option alone holds for the lines below it. */
#ifndef CLI_SCHEDULE_FILE_H
#define CLI_SCHEDULE_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* In the order of the parameters of the statement schedule_set. */
enum schedule_field {
    SCHEDULE_NAME,
    SCHEDULE_CRON,
    SCHEDULE_KIND,
    SCHEDULE_ARGS,
    SCHEDULE_TIMEZONE,
    SCHEDULE_QUEUE,
    SCHEDULE_MISSED,
    SCHEDULE_MISSED_MAX,
    SCHEDULE_OVERLAP,
    SCHEDULE_JITTER,
    SCHEDULE_ENABLED,
    SCHEDULE_STARTS_AT,
    SCHEDULE_ENDS_AT,
    SCHEDULE_PRIORITY,
    SCHEDULE_MAX_ATTEMPTS,
    SCHEDULE_TIMEOUT,
    SCHEDULE_TAGS, /* an array literal */
    SCHEDULE_FIELDS
};

struct schedule_entry {
    char *fields[SCHEDULE_FIELDS]; /* owned; NULL: the default */
};

struct schedule_file {
    struct schedule_entry *entries;
    size_t count, capacity;
};

/* False: err names the line. */
bool schedule_file_parse(struct schedule_file *file, const char *text, struct err *err);
void schedule_file_clear(struct schedule_file *file);
/* An empty one at the end. */
struct schedule_entry *schedule_file_add(struct schedule_file *file);

/* A field's value by its option's name (missed-max); tags are a comma list. False: no such option.
 */
bool schedule_entry_set(struct schedule_entry *entry, const char *option, const char *value);
/* The expression, the time zone and the args, as far as they can be read without a database. */
bool schedule_entry_check(const struct schedule_entry *entry, struct err *err);

#endif
