#include "stubborn.h"

#include "child.h"
#include "ledger.h"
#include "probe_sql.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STUBBORN_SLEEP_MS = 60000 };

struct held {
    struct errand_job *job;
    char *memory;
    int file;
};

static void held_give_back(void *context)
{
    struct held *held = context;
    free(held->memory);
    close(held->file);
    ledger_end(held->job, "cleaned");
}

static void held_take(struct errand_job *job)
{
    struct held *held = errand_alloc(job, sizeof *held);
    *held = (struct held){job, strdup("memory"), open("/dev/null", O_RDONLY | O_CLOEXEC)};
    errand_cleanup(job, held_give_back, held);
}

static void wait_http(struct errand_job *job, const json_t *args)
{
    const struct errand_request request = {.size = sizeof request,
                                           .method = "GET",
                                           .url = json_string_value(json_object_get(args, "url")),
                                           .timeout_ms = STUBBORN_SLEEP_MS};
    struct errand_response response;
    errand_http(job, &request, &response);
}

static void wait_child(struct errand_job *job, const json_t *args)
{
    const struct errand_child child = {.size = sizeof child,
                                       .argv = child_argv(job, json_object_get(args, "argv")),
                                       .grace_ms = 200};
    struct errand_child_result result = {.size = sizeof result};
    errand_child(job, &child, &result);
}

static void wait_query(struct errand_job *job, const json_t *args)
{
    const struct errand_rows *rows;
    (void)args;
    errand_query(job, PROBE_SQL_SLOW, 0, NULL, &rows, NULL);
}

static void wait_rate(struct errand_job *job, const json_t *args)
{
    (void)args;
    errand_rate_wait(job);
}

static void wait_sleep(struct errand_job *job, const json_t *args)
{
    (void)args;
    errand_sleep(job, STUBBORN_SLEEP_MS);
}

static const struct {
    const char *name;
    void (*wait)(struct errand_job *job, const json_t *args);
} stubborn_waits[] = {
    {"sleep", wait_sleep}, {"http", wait_http}, {"child", wait_child},
    {"query", wait_query}, {"rate", wait_rate},
};

void probe_stubborn(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    const char *name = json_string_value(json_object_get(args, "wait"));
    held_take(job);
    if (!name || !ledger_start(job, name))
        name = "";
    for (size_t i = 0; i < sizeof stubborn_waits / sizeof *stubborn_waits; i++)
        while (strcmp(name, stubborn_waits[i].name) == 0)
            stubborn_waits[i].wait(job, args);
    errand_fail(job, "args have no wait that is known");
}
