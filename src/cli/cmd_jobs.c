/* errand jobs list | show */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/filter.h"
#include "cli/session.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command_flag cmd_jobs_list_flags[] = {
    FILTER_FLAGS,
    {"limit", "N", "at most so many, the newest first (default 50, at most 10000)"},
    {"before", "ID", "the next page: what stands below this id"},
    {NULL, NULL, NULL},
};

/* ---- List ---- */

/* The statement is asked for one row more than is shown, to know whether there is a next page. */
static void list_print(const struct cli *cli, const struct session_rows *rows, size_t limit)
{
    bool more = session_rows_count(rows) > limit;
    size_t shown = more ? limit : session_rows_count(rows);
    const char *next = more ? session_rows_text(rows, shown - 1, 0) : NULL;
    if (cli->json) {
        fputs("{\"jobs\": ", stdout);
        ask_print_json(rows, filter_shape.columns, shown);
        printf(", \"next\": %s}\n", next ? next : "null");
        return;
    }
    table_print_rows(&filter_shape, rows, shown);
    if (next && isatty(STDOUT_FILENO))
        printf("There are more: add --before %s\n", next);
}

int cmd_jobs_list(struct cli *cli)
{
    struct session *session;
    struct session_rows *rows;
    struct filter filter;
    int status = FAILURE_USAGE;
    const char *limit = cli_flag(cli, "limit");
    char one_more[32];
    if (!cli_number(cli, "--limit", limit, 1, 10000) ||
        !cli_number(cli, "--before", cli_flag(cli, "before"), 1, 9223372036854775807LL) ||
        !filter_init(&filter, cli))
        return FAILURE_USAGE;
    size_t count = limit ? (size_t)atoi(limit) : 50;
    snprintf(one_more, sizeof one_more, "%zu", count + 1);
    filter.params[FILTER_LIMIT] = one_more;
    filter.params[FILTER_BEFORE] = cli_flag(cli, "before");
    filter.params[FILTER_JSON] = cli->json ? "true" : "false";
    filter_look_in(&filter, FILTER_OWED | FILTER_DEAD | FILTER_ENDED);
    if (cli_connect(cli, &session, &status)) {
        status = FAILURE_OK;
        const struct ask ask = {CLI_SQL_JOBS_FIND, FILTER_PARAMS, filter.params,
                                "cannot read the jobs"};
        if (filter_resolve(&filter, cli, session, &status) &&
            ask_rows(cli, session, &ask, &rows, &status)) {
            list_print(cli, rows, count);
            session_rows_free(rows);
        }
        session_close(session);
    }
    filter_clear(&filter);
    return status;
}

/* ---- Show ---- */

/* A table of what belongs to the job, under a blank line; nothing when there is nothing. */
static bool show_part(const struct cli *cli, struct session *session, enum cli_sql statement,
                      const struct table_shape *shape, int *status)
{
    struct session_rows *rows;
    const struct ask ask = {statement, 1, cli->args, "cannot read the job"};
    if (!ask_rows(cli, session, &ask, &rows, status))
        return false;
    if (session_rows_count(rows) > 0) {
        putchar('\n');
        table_print_rows(shape, rows, SIZE_MAX);
    }
    session_rows_free(rows);
    return true;
}

static void show_print(const struct cli *cli, struct session *session,
                       const struct session_rows *rows, int *status)
{
    static const char *const fields[] = {
        "id",         "state",       "why",    "kind",       "queue",   "priority",
        "attempt",    "key",         "tags",   "created_at", "run_at",  "expires_at",
        "started_at", "finished_at", "waited", "ran",        "timeout", "runner",
        "trace",      "progress",    "result", "last_error", "args"};
    static const char *const attempts[] = {"attempt", "finished_at", "ran", "class", "error"};
    static const char *const parents[] = {"waits_for", "state", "if_not_done", "held"};
    static const char *const children[] = {"waited_for_by", "if_not_done"};
    static const char *const steps[] = {"step", "attempt", "finished_at", "bytes"};
    static const char *const signals[] = {"signal", "waited_at", "until", "sent_at", "payload"};
    static const char *const log[] = {"logged_at", "attempt", "level", "message"};
    static const struct table_shape attempt_shape = {attempts, 5, 7, true},
                                    parent_shape = {parents, 4, 15, false},
                                    child_shape = {children, 2, 3, false},
                                    step_shape = {steps, 4, 10, false},
                                    signal_shape = {signals, 5, 0, true},
                                    log_shape = {log, 4, 7, true};
    ask_print_fields(rows, fields, sizeof fields / sizeof *fields);
    if (show_part(cli, session, CLI_SQL_JOBS_ATTEMPTS, &attempt_shape, status) &&
        show_part(cli, session, CLI_SQL_JOBS_STEPS, &step_shape, status) &&
        show_part(cli, session, CLI_SQL_JOBS_SIGNALS, &signal_shape, status) &&
        show_part(cli, session, CLI_SQL_JOBS_PARENTS, &parent_shape, status) &&
        show_part(cli, session, CLI_SQL_JOBS_CHILDREN, &child_shape, status))
        show_part(cli, session, CLI_SQL_JOBS_LOG_LAST, &log_shape, status);
}

int cmd_jobs_show(struct cli *cli)
{
    enum { JSON = 23 };
    struct session *session;
    struct session_rows *rows;
    int status = FAILURE_OK;
    const struct ask ask = {CLI_SQL_JOBS_SHOW, 1, cli->args, "cannot read the job"};
    if (!cli_ids(cli))
        return FAILURE_USAGE;
    if (!cli_connect(cli, &session, &status))
        return status;
    if (ask_rows(cli, session, &ask, &rows, &status)) {
        if (session_rows_count(rows) == 0) {
            char message[64];
            snprintf(message, sizeof message, "there is no job %.20s", cli->args[0]);
            status = failure_tell(cli, FAILURE_NOT_FOUND, message,
                                  "It may have ended longer ago than its queue's history is kept.");
        } else if (cli->json) {
            puts(session_rows_text(rows, 0, JSON));
        } else {
            show_print(cli, session, rows, &status);
        }
        session_rows_free(rows);
    }
    session_close(session);
    return status;
}
