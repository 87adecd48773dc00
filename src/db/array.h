/* Arrays in PostgreSQL's binary form, as parameters of statements: much cheaper to read for the
 * server than texts. One dimension; opened with the number of elements, each of which follows. */
#ifndef DB_ARRAY_H
#define DB_ARRAY_H

#include "base/buf.h"

#include <stdint.h>

/* The types' OIDs, which are PostgreSQL's own for good. */
enum db_array_type {
    DB_BYTEA = 17,
    DB_INT8 = 20,
    DB_INT2 = 21,
    DB_INT4 = 23,
    DB_TEXT = 25,
    DB_TIMESTAMPTZ = 1184
};

void db_array_open(struct buf *buf, enum db_array_type type, size_t count);
/* DB_TIMESTAMPTZ: microseconds since 1970. */
void db_array_int(struct buf *buf, enum db_array_type type, int64_t value);
/* DB_BYTEA, DB_TEXT (then in the connection's encoding, UTF-8). */
void db_array_bytes(struct buf *buf, const void *data, size_t length);
void db_array_text(struct buf *buf, const char *text); /* NULL: null */
void db_array_null(struct buf *buf);

#endif
