#include "cli/migration_apply.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cli_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIGRATION_WAIT_MS = 3600000 };

static bool apply_run(struct session *session, enum cli_sql statement, struct err *err)
{
    return session_run(session, &cli_sql[statement], 0, NULL, NULL, err);
}

/* errand.migration itself comes with the first step. */
static bool apply_make_records(struct session *session, struct err *err)
{
    struct session_rows *rows;
    if (!session_run(session, &cli_sql[CLI_SQL_MIGRATION_HAS_RECORDS], 0, NULL, &rows, err))
        return false;
    bool stands = *session_rows_text(rows, 0, 0) == 't';
    session_rows_free(rows);
    return stands || (apply_run(session, CLI_SQL_MIGRATION_SCHEMA_CREATE, err) &&
                      apply_run(session, CLI_SQL_MIGRATION_TABLE_CREATE, err));
}

/* Somebody else may have been here between the plan and the lock. */
static bool apply_check(struct session *session, const struct migration_step *step, bool *already,
                        struct err *err)
{
    char number[16];
    snprintf(number, sizeof number, "%d", step->migration->number);
    const char *const params[] = {step->migration->set_name, number};
    struct session_rows *rows;
    if (!session_run(session, &cli_sql[CLI_SQL_MIGRATION_RECORDED], 2, params, &rows, err))
        return false;
    *already = session_rows_count(rows) > 0;
    bool same = !*already || step->action == MIGRATION_ADOPT ||
                strcmp(session_rows_text(rows, 0, 0), step->migration->checksum) == 0;
    session_rows_free(rows);
    return same ||
           err_set(err, ERR_CONFIG, "another errand applied a different text of it meanwhile");
}

static bool apply_record(struct session *session, const struct migration_step *step,
                         int64_t started_us, struct err *err)
{
    const struct migration *migration = step->migration;
    char number[16], duration[32];
    snprintf(number, sizeof number, "%d", migration->number);
    snprintf(duration, sizeof duration, "%lld", (long long)(clock_mono_us() - started_us) / 1000);
    const char *const params[] = {migration->set_name,
                                  number,
                                  migration->name,
                                  migration->checksum,
                                  step->action == MIGRATION_ADOPT ? "true" : "false",
                                  duration};
    return session_run(session, &cli_sql[CLI_SQL_MIGRATION_RECORD], 6, params, NULL, err);
}

static bool apply_text(struct session *session, const struct migration *migration, struct err *err)
{
    char *text = mem_strndup(migration->file->text, migration->file->length);
    bool ok = session_script(session, text, err);
    free(text);
    if (ok && !session_in_transaction(session))
        return err_set(err, ERR_BUG, "it ends the transaction that it runs in");
    return ok;
}

static bool apply_in_transaction(struct session *session, const struct migration_step *step,
                                 bool *already, struct err *err)
{
    if (!apply_run(session, CLI_SQL_MIGRATION_LIMITS, err) ||
        !apply_run(session, CLI_SQL_MIGRATION_LOCK, err) || !apply_make_records(session, err) ||
        !apply_check(session, step, already, err))
        return false;
    if (*already)
        return true;
    int64_t started_us = clock_mono_us();
    if (step->action == MIGRATION_APPLY && (!apply_run(session, CLI_SQL_MIGRATION_PREPARE, err) ||
                                            !apply_text(session, step->migration, err)))
        return false;
    return apply_record(session, step, started_us, err);
}

static bool apply_step(struct session *session, const struct migration_step *step, bool *already,
                       struct err *err)
{
    if (!apply_run(session, CLI_SQL_TRANSACTION_BEGIN, err))
        return false;
    if (!apply_in_transaction(session, step, already, err)) {
        if (err->code == ERR_UNKNOWN_OUTCOME)
            err->code = ERR_TEMPORARY; /* not committed, so not done */
        return false;                  /* closing the session rolls back */
    }
    return apply_run(session, CLI_SQL_TRANSACTION_COMMIT, err);
}

bool migration_apply(struct session *session, const struct migration_step *step,
                     enum migration_outcome *outcome, struct err *err)
{
    bool already = false;
    session_deadline(session, MIGRATION_WAIT_MS);
    bool ok = apply_step(session, step, &already, err);
    session_deadline(session, 0);
    *outcome = already ? MIGRATION_OUTCOME_ALREADY : MIGRATION_OUTCOME_DONE;
    if (!ok)
        err_prefix(err, "%s/%s", step->migration->set_name, step->migration->name);
    return ok;
}
