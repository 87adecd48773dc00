/* probe.wait {"signals": ["a", "b"]}      waits for these, one after the other
 *            {"timeout_ms": 500}          for each so long at most (0: only looks)
 *            {"steps": true}              takes a step of the signal's name after each, as
 * probe.steps does
 *            {"sleep_ms": 500}            waits so long before it asks
 *            {"effect": true}             adds a row to public.probe_effect first
 *            {"end": "fail" | "retry"}    ends so
 * Its result is the payloads, null where the time was up, and behind them those of its steps.
 * probe.signal {"to": 5, "name": "a", "payload": {}}   sends a signal; its result: what became of
 * it
 *              {"with": true}                         with its completion, to two jobs: to and more
 * probe.wait_first is the same, claimed before it starts; probe.wait_batch takes several at once.
 */
#include "waits.h"

#include "probe_sql.h"
#include "steps.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const json_t *waits_arg(struct errand_job *job, const char *name)
{
    return json_object_get(errand_args(job), name);
}

static int64_t waits_timeout_ms(struct errand_job *job)
{
    const json_t *timeout_ms = waits_arg(job, "timeout_ms");
    return timeout_ms ? json_integer_value(timeout_ms) : -1;
}

static void waits_effect(struct errand_job *job)
{
    char id[24], attempt[16], pid[16];
    snprintf(id, sizeof id, "%lld", (long long)errand_id(job));
    snprintf(attempt, sizeof attempt, "%d", errand_attempt(job));
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    const char *params[] = {id, attempt, pid};
    errand_effect(job, PROBE_SQL_EFFECT, 3, params);
}

/* False: the job is finished, or waits. */
static bool waits_one(struct errand_job *job, const char *name, size_t place, json_t *results)
{
    const char *payload, *error;
    int sleep_ms = (int)json_integer_value(waits_arg(job, "sleep_ms"));
    if (sleep_ms > 0)
        errand_sleep(job, sleep_ms);
    if (!errand_wait(job, name, waits_timeout_ms(job), &payload, &error)) {
        errand_fail(job, "%s", error);
        return false;
    }
    json_array_append_new(results,
                          payload ? json_loads(payload, JSON_DECODE_ANY, NULL) : json_null());
    return !json_is_true(waits_arg(job, "steps")) || steps_one(job, name, place, results);
}

static void waits_end(struct errand_job *job, const json_t *results)
{
    const char *end = json_string_value(waits_arg(job, "end"));
    errand_result(job, results, NULL);
    if (end && strcmp(end, "fail") == 0)
        errand_fail(job, "as its args say");
    else if (end && errand_attempt(job) == 1)
        errand_retry(job, 0, "as its args say");
    else
        errand_done(job);
}

static void waits_free(void *results)
{
    json_decref(results);
}

void waits_run(struct errand_job *job)
{
    const json_t *names = waits_arg(job, "signals"), *name;
    json_t *results = json_array();
    size_t i;
    bool going = true;
    errand_cleanup(job, waits_free, results);
    if (json_is_true(waits_arg(job, "effect")))
        waits_effect(job);
    json_array_foreach(names, i, name) going =
        going && waits_one(job, json_string_value(name), i, results);
    if (going)
        waits_end(job, results);
    errand_cleanup_now(job, waits_free, results);
}

void waits_run_batch(struct errand_job *const *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        waits_run(jobs[i]);
}

void signals_run(struct errand_job *job)
{
    const char *name = json_string_value(waits_arg(job, "name")), *became = NULL, *error = "";
    const json_t *payload = waits_arg(job, "payload");
    int64_t to = json_integer_value(waits_arg(job, "to"));
    bool sent = json_is_true(waits_arg(job, "with"))
                    ? errand_signal_effect(job, to, name, payload, &error) &&
                          errand_signal_effect(job, json_integer_value(waits_arg(job, "more")),
                                               name, payload, &error)
                    : errand_signal(job, to, name, payload, &became, &error);
    if (!sent) {
        errand_fail(job, "%s", error);
        return;
    }
    json_t *result = json_pack("s?", became);
    errand_result(job, result, NULL);
    json_decref(result);
}
