#include "cli/table.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/session.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TABLE_GAP = 2, TABLE_WIDTH_DEFAULT = 100 };

void table_init(struct table *table, const char *const *headings, size_t columns)
{
    assert(columns <= TABLE_COLUMNS_MAX);
    *table = (struct table){.headings = headings, .columns = columns};
}

void table_clear(struct table *table)
{
    for (size_t i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    table_init(table, table->headings, table->columns);
}

void table_add(struct table *table, const char *const *cells)
{
    size_t count = table->rows * table->columns;
    table->cells = mem_resize(table->cells, (count + table->columns) * sizeof *table->cells);
    for (size_t i = 0; i < table->columns; i++) {
        struct buf cell;
        buf_init(&cell, 0);
        str_printable(&cell, cells[i] ? cells[i] : "");
        table->cells[count + i] = buf_steal(&cell);
    }
    table->rows++;
}

static const char *table_cell(const struct table *table, size_t row, size_t column)
{
    return table->cells[row * table->columns + column];
}

static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
        return size.ws_col;
    return TABLE_WIDTH_DEFAULT;
}

static void table_print_plain(const struct table *table)
{
    for (size_t i = 0; i < table->columns; i++)
        printf("%s%s", i ? "\t" : "", table->headings[i]);
    putchar('\n');
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i < table->columns; i++)
            printf("%s%s", i ? "\t" : "", table_cell(table, row, i));
        putchar('\n');
    }
}

/* Prints at most room characters of text. */
static void print_cut(const char *text, size_t room)
{
    if (str_width(text) <= room) {
        fputs(text, stdout);
        return;
    }
    for (size_t shown = 0; *text; text++) {
        shown += ((unsigned char)*text & 0xC0) != 0x80;
        if (shown >= room)
            break;
        putchar(*text);
    }
    fputs("\xE2\x80\xA6", stdout); /* an ellipsis */
}

static void table_print_line(const struct table *table, const char *const *cells,
                             const size_t *widths, size_t room)
{
    for (size_t i = 0; i + 1 < table->columns; i++) {
        fputs(cells[i], stdout);
        size_t used = widths[i] + TABLE_GAP;
        printf("%*s", (int)(used - str_width(cells[i])), "");
        room = room > used ? room - used : 0;
    }
    print_cut(cells[table->columns - 1], room > 10 ? room : 10);
    putchar('\n');
}

static void table_print_aligned(const struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0}, width = terminal_width();
    for (size_t i = 0; i < table->columns; i++)
        widths[i] = str_width(table->headings[i]);
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        size_t cell = str_width(table->cells[i]);
        if (cell > widths[i % table->columns])
            widths[i % table->columns] = cell;
    }
    table_print_line(table, table->headings, widths, width);
    for (size_t row = 0; row < table->rows; row++)
        table_print_line(table, (const char *const *)table->cells + row * table->columns, widths,
                         width);
}

void table_print(const struct table *table)
{
    if (isatty(STDOUT_FILENO))
        table_print_aligned(table);
    else
        table_print_plain(table);
}

void table_print_rows(const char *const *headings, size_t columns, const struct session_rows *rows)
{
    struct table table;
    table_init(&table, headings, columns);
    for (size_t row = 0; row < session_rows_count(rows); row++) {
        const char *cells[TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < columns; i++)
            cells[i] = session_rows_text(rows, row, i);
        table_add(&table, cells);
    }
    table_print(&table);
    table_clear(&table);
}
