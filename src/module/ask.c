#include "module/ask.h"

#include "module/rows.h"

#include <string.h>

enum {
    ASK_TIMEOUT_MS = 30000,
    ASK_TRIES = 5, /* while the database is away */
    ASK_AGAIN_MS = 200
};

struct asking {
    struct attempt *attempt;
    struct err err;
    PGresult **results;
    size_t count;
};

static void on_answered(struct db_unit *unit, void *owner)
{
    struct asking *asking = owner;
    asking->err = unit->err;
    for (size_t i = 0; unit->err.code == ERR_NONE && i < asking->count; i++) {
        asking->results[i] = unit->statements[i].result;
        rows_add(&asking->attempt->rows, asking->results[i]);
        unit->statements[i].result = NULL;
    }
    attempt_wake(asking->attempt);
}

bool ask_database(struct errand_job *job, ask_build *build, const void *owner, PGresult **results,
                  size_t count, const char **fault)
{
    struct attempt *attempt = job->attempt;
    for (int i = 1;; i++) {
        struct asking asking = {.attempt = attempt, .results = results, .count = count};
        struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_answered, &asking);
        build(job, unit, owner);
        attempt_query(attempt, unit, ASK_TIMEOUT_MS);
        if (asking.err.code == ERR_NONE)
            return true;
        if (asking.err.code == ERR_PERMANENT || i == ASK_TRIES || attempt->cancelled) {
            *fault = arena_strdup(&attempt->arena, asking.err.text);
            return false;
        }
        errand_sleep(job, ASK_AGAIN_MS * i);
    }
}

bool ask_refuse(struct errand_job *job, const char *what, const char *name, const char *fault,
                const char **error)
{
    struct arena *arena = &job->attempt->arena;
    const char *text = *name
                           ? arena_printf(arena, "%s \"%.*s\": %s", what, ASK_NAME_MAX, name, fault)
                           : arena_printf(arena, "%s: %s", what, fault);
    errand_log(job, ERRAND_ERROR, "%s", text);
    if (error)
        *error = text;
    return false;
}

bool ask_name_is_valid(struct errand_job *job, const char *what, const char *name,
                       const char **error)
{
    if (*name && strlen(name) <= ASK_NAME_MAX)
        return true;
    return ask_refuse(job, what, name, "its name is not 1 to 200 bytes long", error);
}
