#include "module/call.h"

#include "base/log.h"

#include <stdlib.h>

#if defined(ERRAND_FAILPOINTS) /* a debug build */
bool call_mistakes_are_fatal = true;
#else
bool call_mistakes_are_fatal = false;
#endif

static const char *const call_foreign = "the job is not the one whose handler runs: it is "
                                        "another's, or over, or this is another thread";
static const char *const call_late = "the job is finished";

bool call_is_wrong(struct errand_job *job, const char *call, const char *mistake,
                   const char **error)
{
    log_event(LOG_ERROR, "mistake of a handler", "call", call, "mistake", mistake, "kind",
              job ? job->attempt->kind->name : NULL, "job", job ? log_int(job->id) : NULL, NULL);
    if (call_mistakes_are_fatal && !(job && job->attempt->is_isolated))
        abort();
    if (job)
        job_keep_line(job, ERRAND_ERROR,
                      arena_printf(&job->attempt->arena, "mistake: %s: %s", call, mistake));
    if (error)
        *error = mistake;
    return false;
}

/* Compares addresses only: what the job points to may be gone. */
bool call_is_own(const struct errand_job *job, const char *call)
{
    struct attempt *attempt = coro_owner();
    if (attempt && job >= attempt->jobs && job < attempt->jobs + attempt->count)
        return true;
    return call_is_wrong(attempt ? attempt->jobs : NULL, call, call_foreign, NULL);
}

/* Behind errand_wait nothing counts, and nothing is wrong with it. */
static bool job_is_open(const struct errand_job *job)
{
    return job->outcome.code == OUTCOME_NONE || job->outcome.code == OUTCOME_WAIT;
}

static bool attempt_is_open(const struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->count; i++)
        if (job_is_open(&attempt->jobs[i]))
            return true;
    return false;
}

bool call_begins(const struct errand_job *job, const char *call)
{
    if (!call_is_own(job, call))
        return false;
    slice_mark(&job->attempt->slice, call);
    return true;
}

static bool call_begins_or_tells(const struct errand_job *job, const char *call, const char **error)
{
    if (call_begins(job, call))
        return true;
    if (error)
        *error = call_foreign;
    return false;
}

bool call_begins_open(struct errand_job *job, const char *call, const char **error)
{
    return call_begins_or_tells(job, call, error) &&
           (job_is_open(job) || call_is_wrong(job, call, call_late, error));
}

bool call_begins_waiting(struct errand_job *job, const char *call, const char **error)
{
    if (!call_begins_or_tells(job, call, error))
        return false;
    if (job->attempt->cleaning)
        return call_is_wrong(job, call, "a cleanup function may not wait", error);
    if (!attempt_is_open(job->attempt))
        return call_is_wrong(job, call, call_late, error);
    attempt_check(job->attempt);
    return true;
}

/* The greatest $n of a statement's text. One within quotes or a comment is no parameter, and there
 * is no good reason to write one there. */
static size_t statement_params(const char *text)
{
    size_t most = 0;
    for (; *text; text++)
        if (*text == '$' && text[1] >= '1' && text[1] <= '9') {
            size_t number = strtoul(text + 1, NULL, 10);
            most = number > most ? number : most;
        }
    return most;
}

bool call_has_statement(struct errand_job *job, const char *call, int statement, size_t count,
                        const char **error)
{
    const struct errand_module *module = job->attempt->kind->module;
    struct arena *arena = &job->attempt->arena;
    if (statement < 0 || (size_t)statement >= module->statement_count)
        return call_is_wrong(job, call,
                             arena_printf(arena, "there is no statement %d: module %s has %zu",
                                          statement, module->name, module->statement_count),
                             error);
    const struct errand_statement *found = &module->statements[statement];
    size_t wanted = call_mistakes_are_fatal ? statement_params(found->text) : count;
    return wanted == count ||
           call_is_wrong(job, call,
                         arena_printf(arena, "statement %s takes %zu parameters, not %zu",
                                      found->name, wanted, count),
                         error);
}
