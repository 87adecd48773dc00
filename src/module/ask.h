/* A question of a handler to the database that is asked again while the database is away, because
 * what hangs on it is worth a wait. */
#ifndef MODULE_ASK_H
#define MODULE_ASK_H

#include "module/attempt.h"

#include <libpq-fe.h>

/* Builds a unit of statements that may be sent twice; owner is the asker's. */
typedef void ask_build(struct errand_job *job, struct db_unit *unit, const void *owner);

/* Inside the coroutine. The results of the unit's statements, borrowed until the attempt ends, in
 * results[count]. False: *fault says why there are none. */
bool ask_database(struct errand_job *job, ask_build *build, const void *owner, PGresult **results,
                  size_t count, const char **fault);

/* Says in the log, and to the handler in *error (NULL: not wanted), what is wrong with "step" or
 * "signal" of that name. Returns false. */
bool ask_refuse(struct errand_job *job, const char *what, const char *name, const char *fault,
                const char **error);

enum { ASK_NAME_MAX = 200 };
bool ask_name_is_valid(struct errand_job *job, const char *what, const char *name,
                       const char **error);

#endif
