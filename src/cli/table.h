/* Rows for people and for scripts: on a terminal aligned columns, the last one cut at the edge; in
 * a pipe a line of headings and a line a row, separated by tabs. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>

struct session_rows;

enum { TABLE_COLUMNS_MAX = 16 };

struct table {
    const char *const *headings; /* borrowed */
    size_t columns, rows;
    char **cells; /* owned, row by row */
};

void table_init(struct table *table, const char *const *headings, size_t columns);
void table_clear(struct table *table);
void table_add(struct table *table, const char *const *cells); /* copies; NULL is an empty cell */
void table_print(const struct table *table);

/* All of rows, whose columns are the headings', in order. */
void table_print_rows(const char *const *headings, size_t columns, const struct session_rows *rows);

#endif
