#include "heavy.h"

#include <time.h>

struct heavy {
    json_int_t ms;
    bool looks;
};

static void heavy_work(struct errand_thread *thread, void *context)
{
    const struct heavy *heavy = context;
    const struct timespec ten_ms = {.tv_nsec = 10000000};
    for (json_int_t ms = 0; ms < heavy->ms; ms += 10) {
        if (heavy->looks && errand_thread_is_cancelled(thread))
            return;
        nanosleep(&ten_ms, NULL);
    }
}

void probe_thread(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    struct heavy *heavy = errand_alloc(job, sizeof *heavy);
    const char *error;
    heavy->ms = json_integer_value(json_object_get(args, "ms"));
    heavy->looks = json_is_true(json_object_get(args, "looks"));
    if (errand_thread(job, heavy_work, heavy, &error))
        errand_done(job);
    else
        errand_retry(job, -1, "%s", error);
}
