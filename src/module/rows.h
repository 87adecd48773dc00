/* The result of a handler's statement: kept with its unit's memory until the attempt ends. */
#ifndef MODULE_ROWS_H
#define MODULE_ROWS_H

#include <libpq-fe.h>

struct errand_rows;
struct attempt_rows; /* what errand.h calls struct errand_rows, in a list */

/* Takes the result over and puts it into the list. */
struct attempt_rows *rows_add(struct attempt_rows **list, PGresult *result);
void rows_free_all(struct attempt_rows *list);
size_t rows_columns(const struct errand_rows *rows);

#endif
