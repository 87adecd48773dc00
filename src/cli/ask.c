#include "cli/ask.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ask_rows(const struct cli *cli, struct session *session, const struct ask *ask,
              struct session_rows **rows, int *status)
{
    struct err err = {0};
    if (session_run(session, &cli_sql[ask->statement], ask->count, ask->params, rows, &err))
        return true;
    *status = failure_statement(cli, session, ask->what, &err);
    return false;
}

bool ask_moment(const struct cli *cli, struct session *session, const char *text, const char *what,
                char moment[ASK_MOMENT_BYTES], int *status)
{
    struct when when;
    struct session_rows *rows;
    when_set(&when, text);
    const char *const params[] = {when.at, when.from_now};
    if (!ask_rows(cli, session, &(struct ask){CLI_SQL_MOMENT, 2, params, what}, &rows, status))
        return false;
    snprintf(moment, ASK_MOMENT_BYTES, "%s", session_rows_text(rows, 0, 0));
    session_rows_free(rows);
    return true;
}

void ask_ids(struct buf *array, const char *const *ids, size_t count)
{
    buf_array_open(array);
    for (size_t i = 0; i < count; i++)
        buf_array_text(array, ids[i]);
    buf_array_close(array);
}

char *ask_list_next(const char **list)
{
    if (!*list)
        return NULL;
    size_t length = strcspn(*list, ",");
    char *one = mem_strndup(*list, length);
    *list = (*list)[length] ? *list + length + 1 : NULL;
    return one;
}

void ask_list_add(struct buf *array, const char *list)
{
    char *one;
    while ((one = ask_list_next(&list))) {
        buf_array_text(array, one);
        free(one);
    }
}

void ask_print_json(const struct session_rows *rows, size_t column, size_t count)
{
    putchar('[');
    for (size_t row = 0; row < count; row++)
        printf("%s%s", row ? ",\n " : "", session_rows_text(rows, row, column));
    putchar(']');
}

void ask_print(const struct cli *cli, const struct table_shape *shape,
               const struct session_rows *rows)
{
    if (cli->json) {
        ask_print_json(rows, shape->columns, session_rows_count(rows));
        putchar('\n');
    } else if (session_rows_count(rows) == 0 && isatty(STDOUT_FILENO)) {
        puts("(none)");
    } else {
        table_print_rows(shape, rows, SIZE_MAX);
    }
}

static bool ask_show(const struct cli *cli, struct session *session, const struct ask *ask,
                     const struct table_shape *shape, int *status)
{
    struct session_rows *rows;
    if (!ask_rows(cli, session, ask, &rows, status))
        return false;
    ask_print(cli, shape, rows);
    session_rows_free(rows);
    return true;
}

void ask_print_fields(const struct session_rows *rows, const char *const *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
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

int ask_list(const struct cli *cli, const struct ask *ask, const struct table_shape *shape)
{
    struct session *session;
    int status = FAILURE_OK;
    if (!cli_connect(cli, &session, &status))
        return status;
    ask_show(cli, session, ask, shape, &status);
    session_close(session);
    return status;
}

int ask_change(const struct cli *cli, const struct ask *change, const struct ask *after,
               const struct table_shape *shape)
{
    struct session *session;
    int status = FAILURE_OK;
    if (!cli_connect(cli, &session, &status))
        return status;
    if (ask_rows(cli, session, change, NULL, &status))
        ask_show(cli, session, after, shape, &status);
    session_close(session);
    return status;
}
