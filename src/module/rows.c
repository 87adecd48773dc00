#include "module/rows.h"

#include "base/mem.h"

#include <errand/errand.h>
#include <stdlib.h>

struct errand_rows {
    PGresult *result;
};

struct attempt_rows {
    struct errand_rows rows; /* first: handlers hold a pointer to it */
    struct attempt_rows *next;
};

struct attempt_rows *rows_add(struct attempt_rows **list, PGresult *result)
{
    struct attempt_rows *added = mem_zalloc(sizeof *added);
    added->rows.result = result;
    added->next = *list;
    *list = added;
    return added;
}

void rows_free_all(struct attempt_rows *list)
{
    while (list) {
        struct attempt_rows *next = list->next;
        PQclear(list->rows.result);
        free(list);
        list = next;
    }
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
