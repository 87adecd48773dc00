#include "host/rows.h"

#include "host/host.h"
#include "module/json_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct errand_rows {
    size_t count, columns;
    const char **cells; /* row by row; NULL: NULL */
};

const struct errand_rows *rows_read(struct frame_reader *reader)
{
    struct errand_rows *rows = arena_alloc(&host.arena, sizeof *rows);
    rows->count = frame_read_count(reader, SIZE_MAX);
    rows->columns = frame_read_count(reader, SIZE_MAX);
    rows->cells = arena_alloc(&host.arena, (rows->count * rows->columns + 1) * sizeof *rows->cells);
    for (size_t i = 0; i < rows->count * rows->columns; i++)
        rows->cells[i] = frame_read_text(reader);
    return rows;
}

size_t errand_rows_count(const struct errand_rows *rows)
{
    return rows->count;
}

const char *errand_rows_text(const struct errand_rows *rows, size_t row, size_t column)
{
    return row < rows->count && column < rows->columns ? rows->cells[row * rows->columns + column]
                                                       : NULL;
}

static const char *rows_word(const struct errand_rows *rows, size_t row, size_t column)
{
    const char *text = errand_rows_text(rows, row, column);
    return text ? text : "";
}

size_t errand_rows_length(const struct errand_rows *rows, size_t row, size_t column)
{
    return strlen(rows_word(rows, row, column));
}

int64_t errand_rows_int(const struct errand_rows *rows, size_t row, size_t column)
{
    return strtoll(rows_word(rows, row, column), NULL, 10);
}

double errand_rows_double(const struct errand_rows *rows, size_t row, size_t column)
{
    return strtod(rows_word(rows, row, column), NULL);
}

bool errand_rows_bool(const struct errand_rows *rows, size_t row, size_t column)
{
    return strcmp(rows_word(rows, row, column), "t") == 0;
}

const json_t *errand_rows_json(const struct errand_rows *rows, size_t row, size_t column)
{
    const char *text = errand_rows_text(rows, row, column);
    return text && json_text_is_shallow(text) ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

/* ---- bytea, in both forms of bytea_output ---- */

static unsigned digit_of(char c)
{
    return isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

static size_t bytes_of_hex(char *to, const char *text)
{
    size_t length = strlen(text) / 2;
    for (size_t i = 0; i < length; i++)
        to[i] = (char)(digit_of(text[2 * i]) << 4 | digit_of(text[2 * i + 1]));
    return length;
}

static size_t bytes_of_escape(char *to, const char *text)
{
    char *at = to;
    while (*text)
        if (*text != '\\') {
            *at++ = *text++;
        } else if (text[1] == '\\') {
            *at++ = '\\';
            text += 2;
        } else {
            *at++ = (char)(digit_of(text[1]) << 6 | digit_of(text[2]) << 3 | digit_of(text[3]));
            text += 4;
        }
    return (size_t)(at - to);
}

const void *errand_rows_bytes(const struct errand_rows *rows, size_t row, size_t column,
                              size_t *length)
{
    const char *text = errand_rows_text(rows, row, column);
    *length = 0;
    if (!text)
        return NULL;
    char *bytes = arena_alloc(&host.arena, strlen(text) + 1);
    *length =
        strncmp(text, "\\x", 2) == 0 ? bytes_of_hex(bytes, text + 2) : bytes_of_escape(bytes, text);
    bytes[*length] = '\0';
    return bytes;
}
