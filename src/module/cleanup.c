#include "module/cleanup.h"

#include "module/call.h"

struct cleanup {
    void (*function)(void *context);
    void *context;
    struct cleanup *next;
};

void errand_cleanup(struct errand_job *job, void (*function)(void *context), void *context)
{
    if (!call_begins(job, "errand_cleanup"))
        return;
    struct attempt *attempt = job->attempt;
    struct cleanup *cleanup = arena_alloc(&attempt->arena, sizeof *cleanup);
    *cleanup = (struct cleanup){function, context, attempt->cleanups};
    attempt->cleanups = cleanup;
}

void errand_cleanup_now(struct errand_job *job, void (*function)(void *context), void *context)
{
    if (!call_begins(job, "errand_cleanup_now"))
        return;
    struct cleanup **at = &job->attempt->cleanups;
    while (*at && ((*at)->function != function || (*at)->context != context))
        at = &(*at)->next;
    if (!*at)
        return;
    *at = (*at)->next;
    function(context);
}

void cleanup_run_all(struct attempt *attempt)
{
    attempt->cleaning = true;
    while (attempt->cleanups) {
        const struct cleanup *cleanup = attempt->cleanups;
        attempt->cleanups = cleanup->next;
        cleanup->function(cleanup->context);
    }
}
