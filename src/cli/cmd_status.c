/* errand status */
#include "cli/cmd.h"

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/migration_list.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli_sql.h"

#include <stdio.h>

static bool status_check(const struct cli *cli, struct session *session, int *status)
{
    struct err err = {0};
    const char *hint;
    if (migration_list_check(session, MIGRATION_SET_QUEUE, &hint, &err))
        return true;
    if (err.code == ERR_CONFIG && !*err.sqlstate)
        *status = failure_tell(cli, FAILURE_SCHEMA, err.text, hint);
    else
        *status = failure_statement(cli, session, "cannot read the state of the migrations", &err);
    return false;
}

static bool status_query(const struct cli *cli, struct session *session, enum cli_sql statement,
                         struct session_rows **rows, int *status)
{
    struct err err = {0};
    if (session_run(session, &cli_sql[statement], 0, NULL, rows, &err))
        return true;
    *status = failure_statement(cli, session, "cannot read the status", &err);
    return false;
}

static bool status_table(const struct cli *cli, struct session *session, enum cli_sql statement,
                         const struct table_shape *shape, int *status)
{
    struct session_rows *rows;
    if (!status_query(cli, session, statement, &rows, status))
        return false;
    if (session_rows_count(rows) > 0)
        table_print_rows(shape, rows, SIZE_MAX);
    else
        puts("(none)");
    putchar('\n');
    session_rows_free(rows);
    return true;
}

static bool status_schema(const struct cli *cli, struct session *session, int *status)
{
    struct migration_list list;
    struct err err = {0};
    if (!migration_list_load(&list, session, &err)) {
        *status = failure_statement(cli, session, "cannot read the state of the migrations", &err);
        return false;
    }
    printf("errand %s, %s\nschema", ERRAND_VERSION, session_place(session));
    for (unsigned set = 0; set < MIGRATION_SET_COUNT; set++)
        printf("  %s %zu", migration_set_name((enum migration_set)set),
               migration_list_recorded(&list, (enum migration_set)set));
    const char *newer = migration_list_newer(&list, MIGRATION_SET_QUEUE);
    printf("%s%s\n\n", newer ? "  newer than this errand: " : "", newer ? newer : "");
    migration_list_clear(&list);
    return true;
}

static bool status_next_due(const struct cli *cli, struct session *session, int *status)
{
    struct session_rows *rows;
    if (!status_query(cli, session, CLI_SQL_STATUS_NEXT_DUE, &rows, status))
        return false;
    if (session_rows_count(rows) > 0)
        printf("next due  %s  %s  job %s\n", session_rows_text(rows, 0, 0),
               session_rows_text(rows, 0, 1), session_rows_text(rows, 0, 2));
    else
        puts("next due  nothing");
    session_rows_free(rows);
    return true;
}

static void status_print(const struct cli *cli, struct session *session, int *status)
{
    static const char *const queues[] = {"queue",   "lanes",      "ready", "scheduled",
                                         "running", "oldest_due", "state"};
    static const char *const runners[] = {"runner",  "version",    "state",  "lanes",
                                          "running", "started_at", "queues", "name"};
    static const struct table_shape queue_shape = {queues, 7, 0, true},
                                    runner_shape = {runners, 8, 0, true};
    if (status_schema(cli, session, status) &&
        status_table(cli, session, CLI_SQL_STATUS_QUEUES, &queue_shape, status) &&
        status_table(cli, session, CLI_SQL_STATUS_RUNNERS, &runner_shape, status))
        status_next_due(cli, session, status);
}

static void status_print_json(const struct cli *cli, struct session *session, int *status)
{
    struct session_rows *rows;
    if (!status_query(cli, session, CLI_SQL_STATUS_JSON, &rows, status))
        return;
    puts(session_rows_text(rows, 0, 0));
    session_rows_free(rows);
}

int cmd_status(struct cli *cli)
{
    struct session *session;
    int status = FAILURE_OK;
    if (!cli_connect(cli, &session, &status))
        return status;
    if (status_check(cli, session, &status)) {
        if (cli->json)
            status_print_json(cli, session, &status);
        else
            status_print(cli, session, &status);
    }
    session_close(session);
    return status;
}
