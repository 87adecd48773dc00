#include "cli/table.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    TABLE_GAP = 2,
    TABLE_WIDTH_DEFAULT = 100,
    TABLE_COLUMN_LEAST = 8,
    TABLE_INDENT = 4,
    TABLE_LINES_BELOW = 4
};

void table_init(struct table *table, const struct table_shape *shape)
{
    assert(shape->columns > 0 && shape->columns <= TABLE_COLUMNS_MAX);
    *table = (struct table){.shape = shape};
}

void table_clear(struct table *table)
{
    for (size_t i = 0; i < table->rows * table->shape->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    table_init(table, table->shape);
}

void table_add(struct table *table, const char *const *cells)
{
    size_t count = table->rows * table->shape->columns;
    table->cells = mem_resize(table->cells, (count + table->shape->columns) * sizeof *table->cells);
    for (size_t i = 0; i < table->shape->columns; i++) {
        struct buf cell;
        buf_init(&cell, 0);
        str_printable(&cell, cells[i] ? cells[i] : "");
        table->cells[count + i] = buf_steal(&cell);
    }
    table->rows++;
}

static const char *table_cell(const struct table *table, size_t row, size_t column)
{
    return table->cells[row * table->shape->columns + column];
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
    for (size_t i = 0; i < table->shape->columns; i++)
        printf("%s%s", i ? "\t" : "", table->shape->headings[i]);
    putchar('\n');
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i < table->shape->columns; i++)
            printf("%s%s", i ? "\t" : "", table_cell(table, row, i));
        putchar('\n');
    }
}

void table_fit(size_t *widths, size_t columns, unsigned whole, size_t room)
{
    size_t total = columns ? (columns - 1) * TABLE_GAP : 0;
    for (size_t i = 0; i < columns; i++) {
        if (!(whole >> i & 1) && widths[i] > room)
            widths[i] = room;
        total += widths[i];
    }
    for (; total > room; total--) {
        size_t widest = columns;
        for (size_t i = 0; i < columns; i++)
            if (!(whole >> i & 1) && widths[i] > TABLE_COLUMN_LEAST &&
                (widest == columns || widths[i] >= widths[widest]))
                widest = i;
        if (widest == columns)
            return;
        widths[widest]--;
    }
}

/* Prints at most room characters of text; returns how many. */
static size_t print_cut(const char *text, size_t room)
{
    size_t shown = str_width(text);
    if (shown <= room) {
        fputs(text, stdout);
        return shown;
    }
    for (shown = 0; *text && room > 0; text++) {
        shown += ((unsigned char)*text & 0xC0) != 0x80;
        if (shown >= room)
            break;
        putchar(*text);
    }
    fputs(room > 0 ? "\xE2\x80\xA6" : "", stdout); /* an ellipsis */
    return room;
}

/* Prints text in lines of at most room characters, broken at blanks where there are any. */
static void print_wrapped(const char *text, size_t room)
{
    for (int line = 1; *text; line++) {
        size_t width = 0, end = 0, blank = 0;
        printf("\n%*s", TABLE_INDENT, "");
        if (line == TABLE_LINES_BELOW || str_width(text) <= room) {
            print_cut(text, room);
            return;
        }
        for (; width <= room; end++) {
            blank = text[end] == ' ' ? end : blank;
            width += ((unsigned char)text[end + 1] & 0xC0) != 0x80;
        }
        end = blank ? blank : end - 1;
        printf("%.*s", (int)end, text);
        text += end + (blank != 0);
    }
}

/* Cells up to the last one, each in its width; the last one in its own, or below. */
static void table_print_line(const struct table_shape *shape, const char *const *cells,
                             const size_t *widths, size_t width)
{
    size_t last = shape->columns - 1;
    bool below = shape->below && cells != shape->headings && str_width(cells[last]) > widths[last];
    for (size_t i = 0; i < last; i++) {
        size_t shown = print_cut(cells[i], widths[i]);
        if (i + 1 < last || (!below && *cells[last] && widths[last] > 0))
            printf("%*s", (int)(widths[i] + TABLE_GAP - shown), "");
    }
    if (below)
        print_wrapped(cells[last], width - TABLE_INDENT);
    else
        print_cut(cells[last], widths[last]);
    putchar('\n');
}

static void table_measure(const struct table *table, size_t *widths, size_t width)
{
    const struct table_shape *shape = table->shape;
    size_t last = shape->columns - 1, used = 0;
    for (size_t i = 0; i < shape->columns; i++)
        widths[i] = str_width(shape->headings[i]);
    for (size_t i = 0; i < table->rows * shape->columns; i++) {
        size_t cell = str_width(table->cells[i]);
        if (cell > widths[i % shape->columns])
            widths[i % shape->columns] = cell;
    }
    if (!shape->below) {
        table_fit(widths, shape->columns, shape->whole, width);
        return;
    }
    /* The others come first; the last one has what they leave, and else its own line. */
    table_fit(widths, last, shape->whole, width - str_width(shape->headings[last]) - TABLE_GAP);
    for (size_t i = 0; i < last; i++)
        used += widths[i] + TABLE_GAP;
    if (widths[last] + used > width)
        widths[last] = width > used ? width - used : 0;
}

static void table_print_aligned(const struct table *table)
{
    size_t widths[TABLE_COLUMNS_MAX], width = terminal_width();
    table_measure(table, widths, width);
    table_print_line(table->shape, table->shape->headings, widths, width);
    for (size_t row = 0; row < table->rows; row++)
        table_print_line(table->shape,
                         (const char *const *)table->cells + row * table->shape->columns, widths,
                         width);
}

void table_print(const struct table *table)
{
    if (isatty(STDOUT_FILENO))
        table_print_aligned(table);
    else
        table_print_plain(table);
}

void table_print_rows(const struct table_shape *shape, const struct session_rows *rows,
                      size_t count)
{
    struct table table;
    table_init(&table, shape);
    for (size_t row = 0; row < session_rows_count(rows) && row < count; row++) {
        const char *cells[TABLE_COLUMNS_MAX];
        for (size_t i = 0; i < shape->columns; i++)
            cells[i] = session_rows_text(rows, row, i);
        table_add(&table, cells);
    }
    table_print(&table);
    table_clear(&table);
}
