#include "module/rows.h"

#include "base/mem.h"
#include "module/json_text.h"

#include <errand/errand.h>
#include <stdlib.h>
#include <string.h>

/* What was made of a field for a handler. */
struct rows_value {
    struct rows_value *next;
    json_t *json;
    unsigned char bytes[];
};

struct errand_rows {
    PGresult *result;
    struct rows_value **values;
};

struct attempt_rows {
    struct errand_rows rows; /* first: handlers hold a pointer to it */
    struct rows_value *values;
    struct attempt_rows *next;
};

struct attempt_rows *rows_add(struct attempt_rows **list, PGresult *result)
{
    struct attempt_rows *added = mem_zalloc(sizeof *added);
    added->rows.result = result;
    added->rows.values = &added->values;
    added->next = *list;
    *list = added;
    return added;
}

static void values_free(struct rows_value *values)
{
    while (values) {
        struct rows_value *next = values->next;
        json_decref(values->json);
        free(values);
        values = next;
    }
}

static struct rows_value *rows_value_add(const struct errand_rows *rows, size_t bytes)
{
    struct rows_value *value = mem_zalloc(sizeof *value + bytes);
    value->next = *rows->values;
    *rows->values = value;
    return value;
}

void rows_free_all(struct attempt_rows *list)
{
    while (list) {
        struct attempt_rows *next = list->next;
        values_free(list->values);
        PQclear(list->rows.result);
        free(list);
        list = next;
    }
}

size_t rows_columns(const struct errand_rows *rows)
{
    return (size_t)PQnfields(rows->result);
}

size_t errand_rows_count(const struct errand_rows *rows)
{
    return (size_t)PQntuples(rows->result);
}

const char *errand_rows_text(const struct errand_rows *rows, size_t row, size_t column)
{
    return PQgetisnull(rows->result, (int)row, (int)column)
               ? NULL
               : PQgetvalue(rows->result, (int)row, (int)column);
}

size_t errand_rows_length(const struct errand_rows *rows, size_t row, size_t column)
{
    return (size_t)PQgetlength(rows->result, (int)row, (int)column);
}

int64_t errand_rows_int(const struct errand_rows *rows, size_t row, size_t column)
{
    return strtoll(PQgetvalue(rows->result, (int)row, (int)column), NULL, 10);
}

double errand_rows_double(const struct errand_rows *rows, size_t row, size_t column)
{
    return strtod(PQgetvalue(rows->result, (int)row, (int)column), NULL);
}

bool errand_rows_bool(const struct errand_rows *rows, size_t row, size_t column)
{
    return strcmp(PQgetvalue(rows->result, (int)row, (int)column), "t") == 0;
}

const json_t *errand_rows_json(const struct errand_rows *rows, size_t row, size_t column)
{
    const char *text = errand_rows_text(rows, row, column);
    json_t *json =
        text && json_text_is_shallow(text) ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (json)
        rows_value_add(rows, 0)->json = json;
    return json;
}

const void *errand_rows_bytes(const struct errand_rows *rows, size_t row, size_t column,
                              size_t *length)
{
    const char *text = errand_rows_text(rows, row, column);
    *length = 0;
    if (!text)
        return NULL;
    /* Reads both forms of bytea_output, which a role may have set. */
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)text, length);
    if (!bytes)
        abort(); /* out of memory, as in mem.c */
    struct rows_value *value = rows_value_add(rows, *length + 1);
    memcpy(value->bytes, bytes, *length);
    PQfreemem(bytes);
    return value->bytes;
}
