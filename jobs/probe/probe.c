/* The probe: a kind that does what its args say, to see that a runner works and how fast.
 *     probe.run  {}                            does nothing
 *                {"sleep_ms": 500}             waits first
 *                {"outcome": "retry" | "fail" | "snooze" | "cancel" | "unknown", "text": "why",
 * "delay_ms": 100}
 *                {"times": 2}                  with an outcome: only in the first so many attempts
 *     probe.claim                              the same, claimed before it starts */
#include <errand/errand.h>

#include <string.h>

static const char *args_text(const json_t *args, const char *name)
{
    const char *text = json_string_value(json_object_get(args, name));
    return text ? text : "";
}

static void probe_end(struct errand_job *job, const json_t *args)
{
    const char *outcome = args_text(args, "outcome"), *text = args_text(args, "text");
    const json_t *times = json_object_get(args, "times"),
                 *delay = json_object_get(args, "delay_ms");
    int64_t delay_ms = json_is_integer(delay) ? json_integer_value(delay) : -1;
    if (json_is_integer(times) && errand_attempt(job) > json_integer_value(times))
        errand_done(job);
    else if (strcmp(outcome, "retry") == 0)
        errand_retry(job, delay_ms, "%s", text);
    else if (strcmp(outcome, "fail") == 0)
        errand_fail(job, "%s", text);
    else if (strcmp(outcome, "snooze") == 0)
        errand_snooze(job, errand_now_us(job) + (delay_ms > 0 ? delay_ms : 0) * 1000, "%s", text);
    else if (strcmp(outcome, "cancel") == 0)
        errand_cancelled(job, "%s", text);
    else if (strcmp(outcome, "unknown") == 0)
        errand_unknown(job, "%s", text);
    else
        errand_done(job);
}

static void probe_run(struct errand_job *job)
{
    if (strcmp(errand_args_text(job), "{}") == 0)
        return;
    const json_t *args = errand_args(job);
    const json_t *sleep_ms = json_object_get(args, "sleep_ms");
    if (json_is_integer(sleep_ms) && json_integer_value(sleep_ms) > 0)
        errand_sleep(job, (int)json_integer_value(sleep_ms));
    if (errand_is_cancelled(job))
        errand_cancelled(job, "asked to end");
    else
        probe_end(job, args);
}

static const struct errand_kind probe_kinds[] = {
    {.size = sizeof(struct errand_kind), .name = "probe.run", .run = probe_run},
    {.size = sizeof(struct errand_kind),
     .name = "probe.claim",
     .claim = ERRAND_CLAIM_FIRST,
     .run = probe_run},
};

extern const struct errand_module probe_module;
ERRAND_EXPORT const struct errand_module probe_module = {
    .abi = ERRAND_ABI,
    .size = sizeof(struct errand_module),
    .name = "probe",
    .version = "1",
    .kinds = probe_kinds,
    .kind_count = sizeof probe_kinds / sizeof *probe_kinds,
};
