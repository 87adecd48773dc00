/* A file of SQL as statements that can be sent: cut at its semicolons, and :args, :id, :attempt and
 * :trace made PostgreSQL's numbered parameters. It knows strings, quoted names, dollar quotes and
 * comments, and leaves alone what stands in them; the rest of the grammar is the server's. Pure. */
#ifndef KIND_SCRIPT_H
#define KIND_SCRIPT_H

#include "base/arena.h"
#include "base/err.h"

#include <errand/errand.h>

enum { SCRIPT_STATEMENTS_MAX = 100 };

enum script_parameter { SCRIPT_ARGS, SCRIPT_ID, SCRIPT_ATTEMPT, SCRIPT_TRACE, SCRIPT_PARAMETERS };

struct script {
    struct errand_statement *statements; /* without names: they are never prepared */
    struct script_use {
        enum script_parameter of[SCRIPT_PARAMETERS]; /* of $1, $2 ... */
        size_t count;
    } * uses;
    size_t count;
};

/* False: what is wrong, and in which line. All memory is the arena's. */
bool script_parse(struct script *script, struct arena *arena, const char *text, struct err *err);

#endif
