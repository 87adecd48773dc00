/* The first row of a result as a JSON object: numbers, booleans, json and jsonb as such, null as
 * null, all else as texts. */
#ifndef KIND_ROW_H
#define KIND_ROW_H

#include "base/arena.h"

#include <libpq-fe.h>

const char *row_json(struct arena *arena, const PGresult *rows); /* NULL: it has no row */

#endif
