/* errand queue list | create | pause | resume | limit | retention. What changes a queue prints it
 * as it is then. */
#include "cli/cmd.h"

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/limit.h"
#include "cli/when.h"

#include <stdio.h>
#include <string.h>

const struct command_flag cmd_pause_flags[] = {
    {"reason", "TEXT", "stands wherever somebody asks why nothing runs"},
    {"until", "TIME", "until then (+1h, 2031-01-31T09:00:00Z); else until it is resumed"},
    {NULL, NULL, NULL},
};

const struct command_flag cmd_queue_create_flags[] = {
    {"lanes", "1-64", "1 where order or rate is one for all, 8 (default) to spread work"},
    {NULL, NULL, NULL},
};

const struct command_flag cmd_queue_limit_flags[] = {
    {"concurrency", "N", "jobs that run at once"},
    {"rate", "R", "starts a second; also 90/m, 1000/h"},
    {"burst", "B", "starts at once after a pause (default 1)"},
    {"key-concurrency", "N", "jobs of one key that run at once"},
    {"key-rate", "R", "starts a second of one key"},
    {"key-burst", "B", "starts at once of one key"},
    {"key-ordered", "yes|no", "jobs of a key one after another, as they were enqueued"},
    {NULL, NULL, NULL},
};

static const char *const queue_headings[] = {"queue",   "lanes", "ready", "scheduled", "waiting",
                                             "running", "days",  "state", "limits"};
static const struct table_shape queue_table = {queue_headings, 9, 0xfe, true};

int cmd_queue_list(struct cli *cli)
{
    const char *const params[] = {NULL};
    return ask_list(cli, &(struct ask){CLI_SQL_QUEUE_LIST, 1, params, "cannot list the queues"},
                    &queue_table);
}

static int queue_change(const struct cli *cli, enum cli_sql statement, size_t count,
                        const char *const *params, const char *what)
{
    return ask_change(cli, &(struct ask){statement, count, params, what},
                      &(struct ask){CLI_SQL_QUEUE_LIST, 1, cli->args, "cannot list the queues"},
                      &queue_table);
}

int cmd_queue_create(struct cli *cli)
{
    const char *lanes = cli_flag(cli, "lanes");
    const char *const params[] = {cli->args[0], lanes ? lanes : "8"};
    if (!cli_number(cli, "--lanes", lanes, 1, 64))
        return FAILURE_USAGE;
    return queue_change(cli, CLI_SQL_QUEUE_CREATE, 2, params, "cannot create the queue");
}

int cmd_queue_pause(struct cli *cli)
{
    struct when until;
    when_set(&until, cli_flag(cli, "until"));
    const char *const params[] = {cli->args[0], cli_flag(cli, "reason"), until.at, until.from_now};
    return queue_change(cli, CLI_SQL_QUEUE_PAUSE, 4, params, "cannot pause the queue");
}

int cmd_queue_resume(struct cli *cli)
{
    return queue_change(cli, CLI_SQL_QUEUE_RESUME, 1, cli->args, "cannot resume the queue");
}

int cmd_queue_retention(struct cli *cli)
{
    if (!cli_number(cli, "DAYS", cli->args[1], 1, 3650))
        return FAILURE_USAGE;
    return queue_change(cli, CLI_SQL_QUEUE_RETENTION, 2, cli->args, "cannot set the retention");
}

/* ---- Limits ---- */

struct queue_limit {
    const char *flag;
    bool (*parse)(const char *text, char number[LIMIT_BYTES]);
    const char *takes;
};

static bool parse_yes_no(const char *text, char number[LIMIT_BYTES])
{
    bool yes = strcmp(text, "yes") == 0;
    snprintf(number, LIMIT_BYTES, "%s", yes ? "true" : "false");
    return yes || strcmp(text, "no") == 0;
}

static const char limit_count_takes[] = "a whole number up to 100000; 0 or none lifts the limit";
static const char limit_rate_takes[] =
    "starts a second (50, 0.5, 90/m, 1000/h); 0 or none lifts the limit";

/* In the order of the statement's parameters. */
static const struct queue_limit queue_limits[] = {
    {"concurrency", limit_parse_count, limit_count_takes},
    {"rate", limit_parse_rate, limit_rate_takes},
    {"burst", limit_parse_count, limit_count_takes},
    {"key-concurrency", limit_parse_count, limit_count_takes},
    {"key-rate", limit_parse_rate, limit_rate_takes},
    {"key-burst", limit_parse_count, limit_count_takes},
    {"key-ordered", parse_yes_no, "yes or no"},
};

enum { QUEUE_LIMITS = sizeof queue_limits / sizeof *queue_limits };

int cmd_queue_limit(struct cli *cli)
{
    char numbers[QUEUE_LIMITS][LIMIT_BYTES];
    const char *params[1 + QUEUE_LIMITS] = {cli->args[0]};
    bool given = false;
    for (size_t i = 0; i < QUEUE_LIMITS; i++) {
        const struct queue_limit *limit = &queue_limits[i];
        const char *text = cli_flag(cli, limit->flag);
        if (text && !limit->parse(text, numbers[i]))
            return failure_usage(cli, "", "--%s is '%.80s'; it takes %s", limit->flag, text,
                                 limit->takes);
        params[1 + i] = text ? numbers[i] : NULL;
        given |= text != NULL;
    }
    if (!given)
        return failure_usage(cli, "`errand help queue limit` lists them.",
                             "`errand queue limit` takes at least one limit");
    return queue_change(cli, CLI_SQL_QUEUE_LIMIT, 1 + QUEUE_LIMITS, params,
                        "cannot limit the queue");
}
