/* Arrays in PostgreSQL's binary form, as parameters of statements: much cheaper to read for the
 * server than texts. One dimension; opened with the number of elements, each of which follows. */
#ifndef DB_ARRAY_H
#define DB_ARRAY_H

#include "base/buf.h"

#include <stdint.h>

/* The types' OIDs, which are PostgreSQL's own for good. */
enum db_array_type { DB_INT8 = 20, DB_INT2 = 21, DB_INT4 = 23, DB_TIMESTAMPTZ = 1184 };

void db_array_open(struct buf *buf, enum db_array_type type, size_t count);
/* DB_TIMESTAMPTZ: microseconds since 1970. */
void db_array_int(struct buf *buf, enum db_array_type type, int64_t value);
void db_array_null(struct buf *buf);

#endif
