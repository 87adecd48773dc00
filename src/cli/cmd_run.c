/* errand run */
#include "cli/cmd.h"

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/migration_list.h"
#include "cli/session.h"
#include "isolate/isolate.h"
#include "loop/descriptor.h"
#include "module/loader.h"
#include "queue/runner.h"
#include "web/web.h"

#include <signal.h>
#include <unistd.h>

enum { OWN_DESCRIPTORS = 64 }; /* connections to the database, the log, the loop's own */

/* Whether this binary and the tables fit: 0, or the exit status, told. A database that does not
 * answer now is the runner's to wait for. */
static int run_check_schema(const struct cli *cli, struct session *session)
{
    struct migration_list list;
    struct err err = {0};
    const char *hint = "";
    int status = FAILURE_OK;
    if (!migration_list_load(&list, session, &err)) {
        if (err.code != ERR_TEMPORARY && err.code != ERR_UNKNOWN_OUTCOME)
            return failure_statement(cli, session, "cannot read the state of the migrations", &err);
        log_event(LOG_WARN, "migrations not checked", "error", err.text, NULL);
        return FAILURE_OK;
    }
    const char *newer = migration_list_newer(&list, MIGRATION_SET_QUEUE);
    if (!migration_list_fits(&list, session_place(session), MIGRATION_SET_QUEUE, &hint, &err))
        status = failure_tell(cli, FAILURE_SCHEMA, err.text, hint);
    else if (newer)
        log_event(LOG_WARN, "the schema is newer than this errand", "version", ERRAND_VERSION,
                  "migration", newer, NULL);
    migration_list_clear(&list);
    return status;
}

/* A person who starts a runner wants to hear at once that the login is wrong or the tables are
 * missing. A database that is only away is the runner's to wait for. */
static int run_check(const struct cli *cli)
{
    struct session *session;
    struct err err = {0};
    if (!session_open(&session, settings_text(cli->settings, "errand", "database_url"),
                      settings_text(cli->settings, "errand", "schema"), &err)) {
        if (err.code != ERR_TEMPORARY)
            return failure_connect(cli, &err);
        log_event(LOG_WARN, "database away", "error", err.text, NULL);
        return FAILURE_OK;
    }
    int status = run_check_schema(cli, session);
    session_close(session);
    return status;
}

/* Every job that runs may hold a connection to somewhere. */
static void run_check_descriptors(const struct cli *cli)
{
    long long limit = descriptor_raise_limit();
    long long concurrency = settings_integer(cli->settings, "errand", "concurrency");
    if (concurrency + OWN_DESCRIPTORS > limit)
        log_event(LOG_WARN, "fewer open files allowed than concurrency may need", "limit",
                  log_int(limit), "concurrency", log_int(concurrency), "needed",
                  log_int(concurrency + OWN_DESCRIPTORS), "hint",
                  "raise LimitNOFILE= of the service (ulimit -Hn), or lower concurrency", NULL);
}

/* Nothing runs yet that would have to be ended. */
static void on_early_stop(int number)
{
    (void)number;
    _exit(FAILURE_OK);
}

/* Until the runner's loop has them: the first look at the database may take long. What a hang-up
 * asks for, reading the kinds, is about to be done. */
static void run_take_signals(void)
{
    signal(SIGTERM, on_early_stop);
    signal(SIGINT, on_early_stop);
    signal(SIGHUP, SIG_IGN);
}

int cmd_run(struct cli *cli)
{
    struct err err = {0};
    run_take_signals();
    mem_return_large();
    loader_log(cli->loader);
    run_check_descriptors(cli);
    if (!isolate_settle(cli->modules, cli->settings, &err))
        return failure_tell(cli, FAILURE_USAGE, err.text, "");
    int status = run_check(cli);
    if (status != FAILURE_OK)
        return status;
    struct web *web = web_new();
    const struct runner_front front = web_front(web);
    status = runner_run(cli->settings, cli->modules, &front, &err);
    web_free(web);
    if (err.code != ERR_NONE)
        failure_tell(cli, (enum failure_exit)status, err.text, "");
    return status;
}
