/* What is done to jobs that stand, or to events: to those named by ids, or to all that a filter
 * finds. */
#ifndef CLI_ACT_H
#define CLI_ACT_H

#include "cli_sql.h"

#include <stdbool.h>

struct cli;
struct filter;
struct session;
struct session_rows;
struct tally;

enum { ACT_BATCH = 500, ACT_TRIES = 5 };

struct act {
    enum cli_sql statement;
    unsigned places;         /* where a filter looks */
    const char *done;        /* "cancelled" */
    const char *extra;       /* the statement's second parameter; NULL: none given */
    size_t params;           /* of the statement */
    const char *const *good; /* results that are success, NULL behind them */
    const char *noun;        /* what ids are of: "job" (then they are numbers), "event" */
};

/* One transaction: an array of ids, and what became of each. False: *status is the exit status;
 * what is wrong was told. */
bool act_batch(const struct act *act, const struct cli *cli, struct session *session,
               const char *ids, struct session_rows **rows, int *status);

/* To the command's arguments: prints what became of each. Returns the exit status. */
int act_on_ids(const struct act *act, const struct cli *cli, struct session *session);

/* To all that the filter finds, lane by lane in batches, when --yes is given; else says how many
 * that would be and which come first. Returns the exit status. */
int act_on_filter(const struct act *act, struct filter *filter, const struct cli *cli,
                  struct session *session);

void act_print_tally(const struct act *act, const struct cli *cli, const struct tally *tally);

#endif
