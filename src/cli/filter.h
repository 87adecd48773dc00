/* Which jobs are meant: the filter flags of `errand jobs ...` as parameters of the statement
 * jobs_find. */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include "base/buf.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/table.h"

#include <stdbool.h>

struct session;

/* Where a statement looks. */
enum filter_place {
    FILTER_OWED = 1, /* jobs */
    FILTER_DEAD = 2, /* dead letters */
    FILTER_ENDED = 4 /* the history, but for what is a dead letter */
};

/* The parameters of jobs_find, in their order. */
enum filter_param {
    FILTER_STATE,
    FILTER_QUEUE,
    FILTER_KIND,
    FILTER_KEY,
    FILTER_TAGS,
    FILTER_PATHS,
    FILTER_VALUES,
    FILTER_ARE_JSON,
    FILTER_ERROR,
    FILTER_SINCE,
    FILTER_UNTIL,
    FILTER_BEFORE,
    FILTER_LIMIT,
    FILTER_LANE,
    FILTER_IN_OWED,
    FILTER_IN_DEAD,
    FILTER_IN_ENDED,
    FILTER_JSON,
    FILTER_PARAMS
};

struct filter {
    const char *params[FILTER_PARAMS]; /* the last seven are the caller's to set; NULL until then */
    bool given;                        /* is there any filter at all? */
    struct buf tags, paths, values, are_json;
    char times[2][ASK_MOMENT_BYTES];
};

/* What jobs_find gives, for people; the row as JSON stands behind. */
extern const struct table_shape filter_shape;

/* Reads the flags. False: told as a usage error. */
bool filter_init(struct filter *filter, const struct cli *cli);
void filter_clear(struct filter *filter);

/* Turns --since and --until into fixed times, so that -1h means the same for all statements of one
 * command. False: *status is the exit status; what is wrong was told. */
bool filter_resolve(struct filter *filter, const struct cli *cli, struct session *session,
                    int *status);

/* Any of places, as far as jobs in the state that is asked for can be there. */
void filter_look_in(struct filter *filter, unsigned places);

/* "customer.id=42": the path's parts as an array ({"customer","id"}; a part may stand in double
 * quotes, \ before one of its own), where the value begins, and whether it is JSON (else it is
 * text). False: there is no path, or no value. */
bool filter_split_args(const char *text, struct buf *path, const char **value, bool *is_json);

/* Filters that every command on jobs takes. */
#define FILTER_FLAGS                                                                               \
    {"state", "STATE",                                                                             \
     "scheduled, ready, running, waiting, held, done, cancelled, dead, unknown"},                  \
        {"queue", "NAME", "of this queue"}, {"kind", "KIND", "of this kind"},                      \
        {"key", "KEY", "that bears this key"},                                                     \
        {"tag", "TAG[,TAG]", "that bears these tags; may be given again"},                         \
        {"args", "PATH=VALUE", "whose args hold it: customer.id=42; given again: all of them"},    \
        {"error", "TEXT", "whose last error holds this text"},                                     \
        {"since", "TIME", "enqueued (owed) or ended since: -1h, -2d, 2031-01-31T09:00:00Z"},       \
    {                                                                                              \
        "until", "TIME", "enqueued (owed) or ended before"                                         \
    }

#endif
