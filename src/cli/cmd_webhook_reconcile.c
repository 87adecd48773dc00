/* errand webhook reconcile */
#include "cli/cmd.h"

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"

#include <stdio.h>

const struct command_flag cmd_webhook_reconcile_flags[] = {
    {"source", "NAME", "of this source: lemonsqueezy (default), the only one that can be asked"},
    {"workspace", "ID", "of this workspace only (default: all)"},
    {NULL, NULL, NULL},
};

int cmd_webhook_reconcile(struct cli *cli)
{
    static const char *const sources[] = {"lemonsqueezy"};
    struct session *session;
    struct session_rows *rows;
    int status = FAILURE_USAGE;
    const char *const params[] = {cli_flag(cli, "workspace")};
    if (!cli_word(cli, "--source", cli_flag(cli, "source"), sources, 1) ||
        !cli_connect(cli, &session, &status))
        return status;
    status = FAILURE_OK;
    if (ask_rows(cli, session,
                 &(struct ask){CLI_SQL_WEBHOOK_RECONCILE, 1, params, "cannot reconcile"}, &rows,
                 &status)) {
        printf(cli->json ? "{\"id\": %s}\n" : "%s\n", session_rows_text(rows, 0, 0));
        session_rows_free(rows);
    }
    session_close(session);
    return status;
}
