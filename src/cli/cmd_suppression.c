/* errand suppression list | add | remove: the addresses that mail does not go to. */
#include "cli/cmd.h"

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"

#include <stdio.h>
#include <string.h>

const struct command_flag cmd_suppression_list_flags[] = {
    {"limit", "N", "at most so many, the newest first (default 50, at most 10000)"},
    {NULL, NULL, NULL},
};

static const char *const headings[] = {"recipient", "since", "event", "reason"};
static const struct table_shape shape = {headings, 4, 0x3, true};

/* $1 of the statement: the one address; NULL: all. */
static struct ask list_ask(const char *const *params)
{
    return (struct ask){CLI_SQL_SUPPRESSION_LIST, 2, params, "cannot read the suppression list"};
}

int cmd_suppression_list(struct cli *cli)
{
    const char *limit = cli_flag(cli, "limit");
    if (!cli_number(cli, "--limit", limit, 1, 10000))
        return FAILURE_USAGE;
    const char *const params[] = {NULL, limit ? limit : "50"};
    const struct ask ask = list_ask(params);
    return ask_list(cli, &ask, &shape);
}

int cmd_suppression_add(struct cli *cli)
{
    const char *const params[] = {cli->args[0], "1"};
    const struct ask after = list_ask(params);
    return ask_change(
        cli,
        &(struct ask){CLI_SQL_SUPPRESSION_ADD, 2, cli->args, "the address cannot be suppressed"},
        &after, &shape);
}

int cmd_suppression_remove(struct cli *cli)
{
    struct session *session;
    struct session_rows *rows;
    int status = FAILURE_OK;
    char message[200];
    if (!cli_connect(cli, &session, &status))
        return status;
    if (ask_rows(cli, session,
                 &(struct ask){CLI_SQL_SUPPRESSION_REMOVE, 1, cli->args,
                               "the address cannot be taken off the list"},
                 &rows, &status)) {
        if (strcmp(session_rows_text(rows, 0, 0), "t") != 0) {
            snprintf(message, sizeof message, "%.150s is not on the suppression list",
                     cli->args[0]);
            status = failure_tell(cli, FAILURE_NOT_FOUND, message,
                                  "`errand suppression list` shows it.");
        } else if (cli->json) {
            puts("{\"removed\": true}");
        } else {
            puts("removed");
        }
        session_rows_free(rows);
    }
    session_close(session);
    return status;
}
