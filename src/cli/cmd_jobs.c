/* errand jobs list | show */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli_sql.h"

#include <stdio.h>
#include <string.h>

static bool jobs_state_is_known(const struct cli *cli, const char *state)
{
    static const char *const states[] = {"scheduled", "ready",     "running", "waiting",
                                         "done",      "cancelled", "dead",    "unknown"};
    char hint[96] = "";
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (!state || strcmp(states[i], state) == 0)
            return true;
    const char *near = str_nearest(state, states, sizeof states / sizeof *states);
    if (near)
        snprintf(hint, sizeof hint, "Did you mean %s?", near);
    failure_usage(cli, hint,
                  "--state is '%.80s'; allowed: scheduled, ready, running, waiting, done, "
                  "cancelled, dead, unknown",
                  state);
    return false;
}

static int jobs_query(const struct cli *cli, enum cli_sql statement, size_t count,
                      const char *const *params, struct session_rows **rows)
{
    struct session *session;
    struct err err = {0};
    int status = FAILURE_OK;
    if (!cli_connect(cli, &session, &status))
        return status;
    if (!session_run(session, &cli_sql[statement], count, params, rows, &err))
        status = failure_statement(cli, session, "cannot read the jobs", &err);
    session_close(session);
    return status;
}

int cmd_jobs_list(struct cli *cli)
{
    static const char *const headings[] = {"id",      "queue",  "kind", "state",
                                           "attempt", "run_at", "key",  "error"};
    const char *limit = cli_flag(cli, "limit");
    const char *const params[] = {cli_flag(cli, "state"), cli_flag(cli, "queue"),
                                  cli_flag(cli, "kind"), cli_flag(cli, "key"),
                                  limit ? limit : "50"};
    struct session_rows *rows;
    if (!jobs_state_is_known(cli, params[0]) || !cli_number(cli, "--limit", limit, 1, 10000))
        return FAILURE_USAGE;
    int status =
        jobs_query(cli, cli->json ? CLI_SQL_JOBS_LIST_JSON : CLI_SQL_JOBS_LIST, 5, params, &rows);
    if (status != FAILURE_OK)
        return status;
    if (cli->json)
        puts(session_rows_text(rows, 0, 0));
    else
        table_print_rows(headings, 8, rows);
    session_rows_free(rows);
    return FAILURE_OK;
}

/* A line a field; what is not set stays out. */
static void jobs_print(const struct session_rows *rows)
{
    static const char *const fields[] = {
        "id",         "kind",        "queue",        "lane",       "state",  "priority",
        "run_at",     "attempt",     "max_attempts", "key",        "runner", "created_at",
        "started_at", "finished_at", "progress",     "last_error", "args"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *value = session_rows_text(rows, 0, i);
        struct buf shown;
        if (!value)
            continue;
        buf_init(&shown, 0);
        str_printable(&shown, value);
        printf("%-13s %s\n", fields[i], buf_text(&shown));
        buf_clear(&shown);
    }
}

int cmd_jobs_show(struct cli *cli)
{
    struct session_rows *rows;
    if (!cli_number(cli, "ID", cli->args[0], 1, 9223372036854775807LL))
        return FAILURE_USAGE;
    int status = jobs_query(cli, cli->json ? CLI_SQL_JOBS_SHOW_JSON : CLI_SQL_JOBS_SHOW, 1,
                            cli->args, &rows);
    if (status != FAILURE_OK)
        return status;
    if (session_rows_count(rows) == 0) {
        char message[64];
        snprintf(message, sizeof message, "there is no job %.20s", cli->args[0]);
        status = failure_tell(cli, FAILURE_NOT_FOUND, message,
                              "It may have ended longer ago than its queue's history is kept.");
    } else if (cli->json) {
        puts(session_rows_text(rows, 0, 0));
    } else {
        jobs_print(rows);
    }
    session_rows_free(rows);
    return status;
}
