/* errand schedule list | show | history | run-now | enable | disable | remove */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cron/cron.h"

#include <stdio.h>

const struct command_flag cmd_schedule_history_flags[] = {
    {"limit", "N", "the last N fire times (default 20, at most 10000)"},
    {NULL, NULL, NULL},
};

static const char *const list_headings[] = {"schedule", "cron",    "timezone",   "kind",   "on",
                                            "next_at",  "last_at", "last_state", "problem"};
static const struct table_shape list_shape = {list_headings, 9, 0xf1, true};

int cmd_schedule_list(struct cli *cli)
{
    const char *const params[] = {NULL};
    return ask_list(cli,
                    &(struct ask){CLI_SQL_SCHEDULE_LIST, 1, params, "cannot list the schedules"},
                    &list_shape);
}

static int schedule_change(const struct cli *cli, enum cli_sql statement, const char *what)
{
    return ask_change(
        cli, &(struct ask){statement, 1, cli->args, what},
        &(struct ask){CLI_SQL_SCHEDULE_LIST, 1, cli->args, "cannot list the schedules"},
        &list_shape);
}

int cmd_schedule_enable(struct cli *cli)
{
    return schedule_change(cli, CLI_SQL_SCHEDULE_ENABLE, "cannot enable the schedule");
}

int cmd_schedule_disable(struct cli *cli)
{
    return schedule_change(cli, CLI_SQL_SCHEDULE_DISABLE, "cannot disable the schedule");
}

/* Runs a statement on the schedule and prints its one value, which may be empty. */
static int schedule_do(const struct cli *cli, enum cli_sql statement, const char *what,
                       const char *text, const char *json)
{
    struct session *session;
    struct session_rows *rows;
    int status = FAILURE_OK;
    if (!cli_connect(cli, &session, &status))
        return status;
    if (ask_rows(cli, session, &(struct ask){statement, 1, cli->args, what}, &rows, &status)) {
        printf("%s%s%s\n", cli->json ? json : text, session_rows_text(rows, 0, 0),
               cli->json ? "}" : "");
        session_rows_free(rows);
    }
    session_close(session);
    return status;
}

int cmd_schedule_run_now(struct cli *cli)
{
    return schedule_do(cli, CLI_SQL_SCHEDULE_RUN_NOW, "cannot run the schedule", "", "{\"id\": ");
}

int cmd_schedule_remove(struct cli *cli)
{
    return schedule_do(cli, CLI_SQL_SCHEDULE_REMOVE, "cannot remove the schedule", "removed",
                       "{\"outcome\": \"removed\"");
}

/* ---- Show, history ---- */

static int schedule_missing(const struct cli *cli)
{
    char message[160];
    snprintf(message, sizeof message, "there is no schedule %.100s", cli->args[0]);
    return failure_tell(cli, FAILURE_NOT_FOUND, message,
                        "`errand schedule list` lists the schedules.");
}

static void show_line(const char *field, const char *value)
{
    struct buf shown;
    buf_init(&shown, 0);
    str_printable(&shown, value);
    printf("%-13s %s\n", field, buf_text(&shown));
    buf_clear(&shown);
}

static void show_print(const struct session_rows *rows)
{
    static const char *const fields[] = {"name",    "cron",     "timezone", "kind",     "args",
                                         "queue",   "priority", "",         "timeout",  "tags",
                                         "missed",  "overlap",  "jitter",   "on",       "starts_at",
                                         "ends_at", "next_at",  "last_at",  "last_job", "problem"};
    struct cron cron;
    struct err err = {0};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *value = session_rows_text(rows, 0, i);
        if (value && *value)
            show_line(*fields[i] ? fields[i] : "max_attempts", value);
        if (i == 1 && value && cron_parse(&cron, value, &err)) {
            struct buf words;
            buf_init(&words, 0);
            cron_describe(&cron, &words);
            show_line("", buf_text(&words));
            buf_clear(&words);
        }
    }
}

int cmd_schedule_show(struct cli *cli)
{
    enum { JSON = 20 };
    struct session *session;
    struct session_rows *rows;
    int status = FAILURE_OK;
    const struct ask ask = {CLI_SQL_SCHEDULE_SHOW, 1, cli->args, "cannot read the schedule"};
    if (!cli_connect(cli, &session, &status))
        return status;
    if (ask_rows(cli, session, &ask, &rows, &status)) {
        if (session_rows_count(rows) == 0)
            status = schedule_missing(cli);
        else if (cli->json)
            puts(session_rows_text(rows, 0, JSON));
        else
            show_print(rows);
        session_rows_free(rows);
    }
    session_close(session);
    return status;
}

/* What a schedule did that was removed since is told as well. */
static int history_print(const struct cli *cli, struct session *session)
{
    static const char *const headings[] = {"fire_at", "outcome", "job", "state", "after", "until"};
    static const struct table_shape shape = {headings, 6, 0x3f, false};
    const char *limit = cli_flag(cli, "limit");
    const char *const params[] = {cli->args[0], limit ? limit : "20"};
    struct session_rows *rows, *found;
    int status = FAILURE_OK;
    if (!ask_rows(cli, session,
                  &(struct ask){CLI_SQL_SCHEDULE_HISTORY, 2, params, "cannot read the history"},
                  &rows, &status))
        return status;
    const struct ask exists = {CLI_SQL_SCHEDULE_EXISTS, 1, cli->args, "cannot read the schedule"};
    if (session_rows_count(rows) > 0) {
        ask_print(cli, &shape, rows);
    } else if (ask_rows(cli, session, &exists, &found, &status)) {
        if (session_rows_count(found) > 0)
            ask_print(cli, &shape, rows);
        else
            status = schedule_missing(cli);
        session_rows_free(found);
    }
    session_rows_free(rows);
    return status;
}

int cmd_schedule_history(struct cli *cli)
{
    struct session *session;
    int status = FAILURE_OK;
    if (!cli_number(cli, "--limit", cli_flag(cli, "limit"), 1, 10000))
        return FAILURE_USAGE;
    if (!cli_connect(cli, &session, &status))
        return status;
    status = history_print(cli, session);
    session_close(session);
    return status;
}
