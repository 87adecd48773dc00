/* One question to the database, and its answer printed: as a table for people, as JSON for
 * programs. What the commands that list or change something share. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli/table.h"
#include "cli_sql.h"

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct cli;
struct session;
struct session_rows;

/* A statement with its parameters. */
struct ask {
    enum cli_sql statement;
    size_t count;
    const char *const *params;
    const char *what; /* for the error: "cannot list the queues" */
};

/* Runs it; the rows are the caller's, to free. rows NULL: none are wanted. False: *status is the
 * exit status; what is wrong was told. */
bool ask_rows(const struct cli *cli, struct session *session, const struct ask *ask,
              struct session_rows **rows, int *status);

enum { ASK_MOMENT_BYTES = 64 };

/* A time as a person gives it (cli/when.h) as one that stays, so that -1h means the same for all
 * statements of one command; what: the flag. */
bool ask_moment(const struct cli *cli, struct session *session, const char *text, const char *what,
                char moment[ASK_MOMENT_BYTES], int *status);

/* Rows as a table, "(none)" on a terminal when there are none; with --json as an array of their
 * last column, which stands behind those of the table and is the row as JSON. */
void ask_print(const struct cli *cli, const struct table_shape *shape,
               const struct session_rows *rows);

/* The first columns of the first row: a line a field; what is not set stays out. */
void ask_print_fields(const struct session_rows *rows, const char *const *fields, size_t count);

/* Connects, runs it, prints the rows. Returns the exit status. */
int ask_list(const struct cli *cli, const struct ask *ask, const struct table_shape *shape);

/* Connects, runs `change`, then `after`, and prints its rows: what was changed, as it is now. */
int ask_change(const struct cli *cli, const struct ask *change, const struct ask *after,
               const struct table_shape *shape);

/* Texts as an array parameter. */
void ask_ids(struct buf *array, const char *const *ids, size_t count);

/* The next of a comma list, to be freed; *list goes on behind it. NULL: there are no more. */
char *ask_list_next(const char **list);

/* Adds each of a comma list to an array parameter. */
void ask_list_add(struct buf *array, const char *list);

/* A column of the first count rows, which holds JSON, as an array: a row a line. */
void ask_print_json(const struct session_rows *rows, size_t column, size_t count);

#endif
