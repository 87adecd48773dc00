#include "cli/scratch.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/migration_apply.h"
#include "cli/session.h"
#include "cli_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The statements end where the rest of the name belongs: a database's name is no parameter. */
static bool scratch_run(const struct scratch *scratch, enum cli_sql which, struct err *err)
{
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "%s%s", cli_sql[which].text, scratch->name);
    const struct errand_statement statement = {cli_sql[which].name, buf_text(&text)};
    bool done = session_run(scratch->server, &statement, 0, NULL, NULL, err);
    buf_clear(&text);
    return done;
}

static int create_failed(const struct cli *cli, const struct scratch *scratch,
                         const struct err *err)
{
    if (strcmp(err->sqlstate, "42501") != 0)
        return failure_statement(cli, scratch->server, "cannot make a database for the test", err);
    char message[200];
    snprintf(message, sizeof message, "role \"%.100s\" may not create a database for the test",
             session_user(scratch->server));
    return failure_tell(cli, FAILURE_FAILED, message,
                        "Give it CREATEDB, or name a database made for tests: --database URL.");
}

static int migrate_failed(const struct cli *cli, const struct session *session, const char *hint,
                          const struct err *err)
{
    if (*err->sqlstate)
        return failure_statement(cli, session, "cannot migrate the database for the test", err);
    return failure_tell(cli, FAILURE_FAILED, err->text,
                        *hint ? hint : "--only queue makes errand's own tables alone.");
}

static bool scratch_apply(const struct cli *cli, struct session *session, unsigned sets,
                          int *status)
{
    struct migration_list list;
    struct migration_plan plan = {0};
    struct err err = {0};
    bool loaded = migration_list_load(&list, session, &err);
    bool ok = loaded && migration_plan_make(&plan, &list, session, sets, &err);
    for (size_t i = 0; ok && i < plan.count; i++) {
        enum migration_outcome outcome;
        ok = migration_apply(session, &plan.steps[i], &outcome, &err);
    }
    if (!ok)
        *status = migrate_failed(cli, session, plan.hint, &err);
    migration_plan_clear(&plan);
    if (loaded)
        migration_list_clear(&list);
    return ok;
}

static bool scratch_migrate(const struct scratch *scratch, const struct cli *cli, unsigned sets,
                            int *status)
{
    struct session *session;
    if (!scratch_open(scratch, cli, &session, status))
        return false;
    bool ok = scratch_apply(cli, session, sets, status);
    session_close(session);
    return ok;
}

bool scratch_make(struct scratch *scratch, const struct cli *cli, unsigned sets, int *status)
{
    const char *url = settings_text(cli->settings, "errand", "database_url");
    struct err err = {0};
    *scratch = (struct scratch){0};
    snprintf(scratch->name, sizeof scratch->name, "_%" PRIx64, (uint64_t)random_below(INT64_MAX));
    if (!cli_connect(cli, &scratch->server, status))
        return false;
    if (!scratch_run(scratch, CLI_SQL_SCRATCH_CREATE, &err)) {
        *status = create_failed(cli, scratch, &err);
        session_close(scratch->server);
        return false;
    }
    char name[sizeof scratch->name + 16];
    snprintf(name, sizeof name, "errand_test%s", scratch->name);
    scratch->conninfo = session_conninfo(url, name);
    if (scratch_migrate(scratch, cli, sets, status))
        return true;
    scratch_end(scratch, false);
    return false;
}

void scratch_use(struct scratch *scratch, const char *conninfo)
{
    *scratch = (struct scratch){.conninfo = mem_strdup(conninfo)};
}

bool scratch_open(const struct scratch *scratch, const struct cli *cli, struct session **session,
                  int *status)
{
    struct err err = {0};
    if (session_open(session, scratch->conninfo, settings_text(cli->settings, "errand", "schema"),
                     &err))
        return true;
    *status = failure_connect(cli, &err);
    return false;
}

void scratch_end(struct scratch *scratch, bool keep)
{
    struct err err = {0};
    if (scratch->server && keep)
        fprintf(stderr, "errand: database errand_test%s is kept\n", scratch->name);
    else if (scratch->server && !scratch_run(scratch, CLI_SQL_SCRATCH_DROP, &err))
        log_event(LOG_WARN, "the database of the test was not removed", "database", scratch->name,
                  "error", err.text, NULL);
    session_close(scratch->server);
    free(scratch->conninfo);
    *scratch = (struct scratch){0};
}
