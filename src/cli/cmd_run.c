/* errand run */
#include "cli/cmd.h"

#include "base/log.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/migration_list.h"
#include "cli/session.h"
#include "queue/runner.h"

/* A person who starts a runner wants to hear at once that the login is wrong or the tables are
 * missing. A database that is only away is the runner's to wait for. */
static bool run_check(const struct cli *cli, int *status)
{
    struct session *session;
    struct err err = {0};
    const char *hint;
    if (!session_open(&session, settings_text(cli->settings, "errand", "database_url"),
                      settings_text(cli->settings, "errand", "schema"), &err)) {
        if (err.code == ERR_TEMPORARY) {
            log_event(LOG_WARN, "database away", "error", err.text, NULL);
            return true;
        }
        *status = failure_connect(cli, &err);
        return false;
    }
    bool ok = migration_list_check(session, MIGRATION_SET_QUEUE, &hint, &err);
    if (!ok && err.code == ERR_CONFIG && !*err.sqlstate)
        *status = failure_tell(cli, FAILURE_SCHEMA, err.text, hint);
    else if (!ok)
        *status = failure_statement(cli, session, "cannot read the state of the migrations", &err);
    session_close(session);
    return ok;
}

int cmd_run(struct cli *cli)
{
    struct err err = {0};
    int status;
    if (!run_check(cli, &status))
        return status;
    status = runner_run(cli->settings, cli->modules, &err);
    if (err.code != ERR_NONE)
        failure_tell(cli, (enum failure_exit)status, err.text, "");
    return status;
}
