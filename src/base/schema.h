/* The schema that errand is installed in. All of errand's SQL says `errand`; where it is installed
 * under another name, a text is rewritten before it is sent. */
#ifndef BASE_SCHEMA_H
#define BASE_SCHEMA_H

#include "base/buf.h"

#include <stdbool.h>

#define SCHEMA_DEFAULT "errand"

/* [a-z_][a-z0-9_]{0,39}; none of PostgreSQL's own (pg_*, information_schema), not public, and no
 * word that SQL reserves, because the name is written without quotes. */
bool schema_name_is_valid(const char *name);
bool schema_is_default(const char *name);

/* Appends text, with name for the token `errand` where a `.` follows it and no letter, digit, `_`
 * or
 * `.` stands before it (in string literals, too: channels and lock names differ with the schema),
 * and where `schema` or `schema if not exists` stands before it. Lines stay what they were. */
void schema_rewrite(struct buf *to, const char *text, const char *name);

#endif
