#include "misuse.h"

#include <string.h>
#include <time.h>

static void block(json_int_t ms)
{
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 < ms);
}

void probe_misuse(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    const char *what = json_string_value(json_object_get(args, "what"));
    const struct errand_rows *rows;
    what = what ? what : "";
    if (strcmp(what, "statement") == 0)
        errand_effect(job, 999, 0, NULL);
    if (strcmp(what, "block") == 0) {
        errand_sleep(job, 1);
        block(json_integer_value(json_object_get(args, "ms")));
    }
    errand_done(job);
    if (strcmp(what, "twice") == 0)
        errand_fail(job, "twice");
    if (strcmp(what, "late") == 0)
        errand_query(job, 0, 0, NULL, &rows, NULL);
    if (strcmp(what, "enqueue") == 0)
        errand_enqueue_effect(
            job,
            &(struct errand_new_job){.size = sizeof(struct errand_new_job), .kind = "probe.none"},
            NULL);
}
