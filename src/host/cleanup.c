/* What the handler has to give back when it ends, or when it does not come back from a call. */
#include "host/host.h"

struct host_cleanup {
    void (*function)(void *context);
    void *context;
    struct host_cleanup *next;
};

void errand_cleanup(struct errand_job *job, void (*function)(void *context), void *context)
{
    struct host_cleanup *cleanup = errand_alloc(job, sizeof *cleanup);
    *cleanup = (struct host_cleanup){function, context, host.cleanups};
    host.cleanups = cleanup;
}

void errand_cleanup_now(struct errand_job *job, void (*function)(void *context), void *context)
{
    struct host_cleanup **at = &host.cleanups;
    (void)job;
    while (*at && ((*at)->function != function || (*at)->context != context))
        at = &(*at)->next;
    if (!*at)
        return;
    *at = (*at)->next;
    function(context);
}

void host_cleanup(void)
{
    while (host.cleanups) {
        const struct host_cleanup *cleanup = host.cleanups;
        host.cleanups = cleanup->next;
        cleanup->function(cleanup->context);
    }
}
