/* Where the passwords stand in a PostgreSQL connection string, URL or key=value. Not a parser of
 * the rest: libpq is that, and it lives elsewhere. */
#ifndef CONFIG_CONNINFO_H
#define CONFIG_CONNINFO_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct conninfo_span {
    size_t start, length; /* of the password as written, quotes outside */
};

/* The next password at or after *from, which moves behind it. False: there is none. */
bool conninfo_password(const char *conninfo, size_t *from, struct conninfo_span *span);

/* Each password, as written and as meant (unescaped), goes to log_secret. */
void conninfo_register(const char *conninfo);

/* Adds conninfo with each password as ***. */
void conninfo_mask(struct buf *buf, const char *conninfo);

#endif
