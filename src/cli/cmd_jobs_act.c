/* errand jobs cancel | retry | redrive | reprioritize | delete */
#include "cli/cmd.h"

#include "cli/act.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/filter.h"
#include "cli/session.h"

#include <stddef.h>

#define YES_FLAG                                                                                   \
    {                                                                                              \
        "yes", NULL, "do it to all that the filter finds"                                          \
    }

const struct command_flag cmd_jobs_action_flags[] = {FILTER_FLAGS, YES_FLAG, {NULL, NULL, NULL}};

const struct command_flag cmd_jobs_cancel_flags[] = {
    FILTER_FLAGS,
    {"reason", "TEXT", "stands in the history"},
    YES_FLAG,
    {NULL, NULL, NULL},
};

const struct command_flag cmd_jobs_reprioritize_flags[] = {
    FILTER_FLAGS,
    {"priority", "0-3", "0 first, 3 last"},
    YES_FLAG,
    {NULL, NULL, NULL},
};

static int act_run(const struct act *act, const struct cli *cli)
{
    struct filter filter;
    struct session *session;
    int status = FAILURE_USAGE;
    if (!cli_ids(cli) || !filter_init(&filter, cli))
        return FAILURE_USAGE;
    if (cli->arg_count > 0 && filter.given)
        failure_usage(cli, "Name the jobs, or describe them.",
                      "`errand %s` takes ids or a filter, not both", cli->command->name);
    else if (cli->arg_count == 0 && !filter.given)
        failure_usage(cli, "For all jobs of a queue: --queue NAME",
                      "`errand %s` takes ids or a filter", cli->command->name);
    else if (cli_connect(cli, &session, &status)) {
        status = cli->arg_count > 0 ? act_on_ids(act, cli, session)
                                    : act_on_filter(act, &filter, cli, session);
        session_close(session);
    }
    filter_clear(&filter);
    return status;
}

int cmd_jobs_cancel(struct cli *cli)
{
    static const char *const good[] = {"cancelled", "requested", NULL};
    return act_run(&(struct act){CLI_SQL_JOBS_CANCEL, FILTER_OWED, "cancelled",
                                 cli_flag(cli, "reason"), 2, good, "job"},
                   cli);
}

int cmd_jobs_retry(struct cli *cli)
{
    static const char *const good[] = {"due", "redriven", NULL};
    return act_run(&(struct act){CLI_SQL_JOBS_RETRY, FILTER_OWED | FILTER_DEAD, "retried", NULL, 1,
                                 good, "job"},
                   cli);
}

int cmd_jobs_redrive(struct cli *cli)
{
    static const char *const good[] = {"redriven", NULL};
    return act_run(
        &(struct act){CLI_SQL_JOBS_REDRIVE, FILTER_DEAD, "redriven", NULL, 1, good, "job"}, cli);
}

int cmd_jobs_reprioritize(struct cli *cli)
{
    static const char *const good[] = {"changed", NULL};
    const char *priority = cli_flag(cli, "priority");
    if (!priority)
        return failure_usage(cli, "0 first, 3 last.", "`errand %s` takes --priority 0-3",
                             cli->command->name);
    if (!cli_number(cli, "--priority", priority, 0, 3))
        return FAILURE_USAGE;
    return act_run(
        &(struct act){CLI_SQL_JOBS_REPRIORITIZE, FILTER_OWED, "changed", priority, 2, good, "job"},
        cli);
}

int cmd_jobs_delete(struct cli *cli)
{
    static const char *const good[] = {"deleted", NULL};
    return act_run(&(struct act){CLI_SQL_JOBS_DELETE, FILTER_OWED | FILTER_DEAD, "deleted", NULL, 1,
                                 good, "job"},
                   cli);
}
