/* errand why */
#include "cli/cmd.h"

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli_sql.h"

#include <stdio.h>

int cmd_why(struct cli *cli)
{
    struct session *session;
    struct session_rows *rows;
    struct err err = {0};
    int status = FAILURE_OK;
    if (!cli_number(cli, "ID", cli->args[0], 1, 9223372036854775807LL))
        return FAILURE_USAGE;
    if (!cli_connect(cli, &session, &status))
        return status;
    if (session_run(session, &cli_sql[cli->json ? CLI_SQL_WHY_JSON : CLI_SQL_WHY], 1, cli->args,
                    &rows, &err)) {
        puts(session_rows_text(rows, 0, 0));
        session_rows_free(rows);
    } else {
        status = failure_statement(cli, session, "cannot find out", &err);
    }
    session_close(session);
    return status;
}
