/* Rows for people and for scripts: on a terminal aligned columns, cut so that a line fits, the
 * widest first; in a pipe a line of headings and a line a row, separated by tabs. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session_rows;

enum { TABLE_COLUMNS_MAX = 16 };

/* What a table looks like. */
struct table_shape {
    const char *const *headings;
    size_t columns;
    unsigned whole; /* a bit a column, from the lowest: never cut */
    bool below;     /* on a terminal a last cell that finds no room stands below its row */
};

struct table {
    const struct table_shape *shape; /* borrowed */
    size_t rows;
    char **cells; /* owned, row by row */
};

void table_init(struct table *table, const struct table_shape *shape);
void table_clear(struct table *table);
void table_add(struct table *table, const char *const *cells); /* copies; NULL is an empty cell */
void table_print(const struct table *table);

/* The first count of rows (SIZE_MAX: all), whose first columns are the headings', in order. */
void table_print_rows(const struct table_shape *shape, const struct session_rows *rows,
                      size_t count);

/* Makes widths narrower until they take no more than room with the gaps between them, the widest
 * first, none below what keeps it readable, and none of those that stay whole. */
void table_fit(size_t *widths, size_t columns, unsigned whole, size_t room);

#endif
