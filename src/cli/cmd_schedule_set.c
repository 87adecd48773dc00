/* errand schedule set | apply */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/schedule_file.h"
#include "cli/session.h"
#include "cli/slurp.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command_flag cmd_schedule_set_flags[] = {
    {"tz", "ZONE", "time zone of the expression: Europe/Berlin (default UTC)"},
    {"queue", "NAME", "queue of its jobs (default: the kind's own)"},
    {"missed", "WORD", "of times that passed in an outage: once (default), skip, or all"},
    {"missed-max", "TIME", "none that is older (default 1d)"},
    {"overlap", "WORD", "while a job of it is owed: allow (default), skip, or queue"},
    {"jitter", "TIME", "its jobs start up to so much later"},
    {"enabled", "yes|no", "no: it makes nothing until it is enabled"},
    {"starts-at", "TIME", "no fire time before: 2031-01-31T09:00:00Z"},
    {"ends-at", "TIME", "none at or after it"},
    {"priority", "0-3", "0 first, 3 last (default 2)"},
    {"max-attempts", "N", "1 to 1000 (default: the kind's own)"},
    {"timeout", "TIME", "of one attempt: 30s, 5m (default: the kind's own)"},
    {"tags", "TAG[,TAG]", "of its jobs"},
    {NULL, NULL, NULL},
};

const struct command_flag cmd_schedule_apply_flags[] = {
    {"prune", NULL, "remove the schedules that the file does not name"},
    {"yes", NULL, "do it; else it is only said what would change"},
    {NULL, NULL, NULL},
};

enum { FILE_MAX_BYTES = 64 * 1024 * 1024, APPLY_SHOWN = 3 };

/* ---- To the database ---- */

static void entries_array(struct buf *array, const struct schedule_file *file,
                          enum schedule_field field)
{
    buf_init(array, 0);
    buf_array_open(array);
    for (size_t i = 0; i < file->count; i++)
        buf_array_text(array, file->entries[i].fields[field]);
    buf_array_close(array);
}

/* Rows: what became of each. */
static bool entries_send(const struct schedule_file *file, const struct cli *cli,
                         struct session *session, struct session_rows **rows, int *status)
{
    struct buf arrays[SCHEDULE_FIELDS];
    const char *params[SCHEDULE_FIELDS];
    for (size_t i = 0; i < SCHEDULE_FIELDS; i++) {
        entries_array(&arrays[i], file, (enum schedule_field)i);
        params[i] = buf_text(&arrays[i]);
    }
    bool ok = ask_rows(
        cli, session,
        &(struct ask){CLI_SQL_SCHEDULE_SET, SCHEDULE_FIELDS, params, "cannot set the schedules"},
        rows, status);
    for (size_t i = 0; i < SCHEDULE_FIELDS; i++)
        buf_clear(&arrays[i]);
    return ok;
}

/* ---- Set ---- */

static bool set_read(struct schedule_file *file, const struct cli *cli, struct err *err)
{
    struct schedule_entry *entry = schedule_file_add(file);
    entry->fields[SCHEDULE_NAME] = mem_strdup(cli->args[0]);
    entry->fields[SCHEDULE_CRON] = mem_strdup(cli->args[1]);
    entry->fields[SCHEDULE_KIND] = mem_strdup(cli->args[2]);
    if (cli->arg_count > 3)
        entry->fields[SCHEDULE_ARGS] = mem_strdup(cli->args[3]);
    for (size_t i = 0; cmd_schedule_set_flags[i].name; i++) {
        const char *value = cli_flag(cli, cmd_schedule_set_flags[i].name);
        if (value)
            schedule_entry_set(entry, cmd_schedule_set_flags[i].name, value);
    }
    return schedule_entry_check(entry, err);
}

int cmd_schedule_set(struct cli *cli)
{
    struct schedule_file file = {0};
    struct session *session;
    struct session_rows *rows;
    struct err err = {0};
    int status = FAILURE_OK;
    if (!set_read(&file, cli, &err)) {
        status = failure_usage(cli, "", "%s", err.text);
    } else if (cli_connect(cli, &session, &status)) {
        if (entries_send(&file, cli, session, &rows, &status)) {
            printf(cli->json ? "{\"outcome\": \"%s\"}\n" : "%s\n", session_rows_text(rows, 0, 0));
            session_rows_free(rows);
        }
        session_close(session);
    }
    schedule_file_clear(&file);
    return status;
}

/* ---- Apply ---- */

static bool file_read(struct schedule_file *file, const char *path, struct err *err)
{
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    bool ok = slurp_file(&text, path, err);
    if (ok && text.length && memchr(text.data, '\0', text.length))
        ok = err_set(err, ERR_CONFIG, "%s is no text", path);
    ok = ok && (schedule_file_parse(file, buf_text(&text), err) || err_prefix(err, "%s", path));
    buf_clear(&text);
    return ok;
}

static void changes_print(const struct cli *cli, const struct session_rows *rows)
{
    size_t count = session_rows_count(rows);
    if (cli->json) {
        printf("{\"applied\": %s, \"changes\": ", cli_flag(cli, "yes") ? "true" : "false");
        ask_print_json(rows, APPLY_SHOWN, count);
        puts("}");
        return;
    }
    for (size_t row = 0; row < count; row++) {
        const char *what = session_rows_text(rows, row, 2);
        printf("%-6s  %s%s%s\n", session_rows_text(rows, row, 0), session_rows_text(rows, row, 1),
               what ? "  " : "", what ? what : "");
    }
    if (count == 0)
        puts("nothing to do");
    else if (!cli_flag(cli, "yes"))
        printf("%zu to do; nothing was done: --yes does it\n", count);
}

/* One statement of the transaction; its rows, if they are wanted. */
static bool apply_step(const struct cli *cli, struct session *session, enum cli_sql statement,
                       size_t count, const char *const *params, struct session_rows **rows,
                       int *status)
{
    return ask_rows(cli, session,
                    &(struct ask){statement, count, params, "cannot apply the schedules"}, rows,
                    status);
}

/* All is done in one transaction, and what was done is printed before it is committed; or, without
 * --yes, it is not. */
static void apply_run(const struct schedule_file *file, const struct cli *cli,
                      struct session *session, int *status)
{
    struct buf names;
    struct session_rows *before = NULL, *changes = NULL, *set = NULL;
    bool prune = cli_flag(cli, "prune") != NULL;
    entries_array(&names, file, SCHEDULE_NAME);
    const char *const which[] = {buf_text(&names), prune ? "true" : "false"};
    if (!apply_step(cli, session, CLI_SQL_TRANSACTION_BEGIN, 0, NULL, NULL, status) ||
        !apply_step(cli, session, CLI_SQL_SCHEDULE_BEFORE, 2, which, &before, status) ||
        !entries_send(file, cli, session, &set, status) ||
        (prune && !apply_step(cli, session, CLI_SQL_SCHEDULE_PRUNE, 1, which, NULL, status)))
        goto out;
    const char *const compared[] = {buf_text(&names), session_rows_text(before, 0, 0)};
    if (!apply_step(cli, session, CLI_SQL_SCHEDULE_CHANGES, 2, compared, &changes, status))
        goto out;
    changes_print(cli, changes);
    fflush(stdout);
    if (cli_flag(cli, "yes"))
        apply_step(cli, session, CLI_SQL_TRANSACTION_COMMIT, 0, NULL, NULL, status);
out:
    session_rows_free(before);
    session_rows_free(changes);
    session_rows_free(set);
    buf_clear(&names);
}

int cmd_schedule_apply(struct cli *cli)
{
    struct schedule_file file = {0};
    struct session *session;
    struct err err = {0};
    int status = FAILURE_OK;
    if (!file_read(&file, cli->args[0], &err)) {
        status = failure_usage(cli, "", "%s", err.text);
    } else if (cli_connect(cli, &session, &status)) {
        apply_run(&file, cli, session, &status);
        session_close(session);
    }
    schedule_file_clear(&file);
    return status;
}
