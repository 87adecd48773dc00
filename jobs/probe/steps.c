/* probe.steps {"steps": ["a", "b"]}           takes these steps, one after the other; each writes a
 * row to public.probe_step, and then is done
 *             {"work_ms": 500}                waits between a step's row and its end
 *             {"sleep_ms": 500}               waits after each step that it has taken
 *             {"fail_after": "a"}             fails for good once it has taken that step
 *             {"value": {}}                   each step's result; else its place in the list
 * Its result is what its steps' results are. */
#include "steps.h"

#include "probe_sql.h"

#include <stdio.h>
#include <string.h>

static int steps_ms(struct errand_job *job, const char *name)
{
    return (int)json_integer_value(json_object_get(errand_args(job), name));
}

static bool step_effect(struct errand_job *job, const char *name, const char **error)
{
    char id[24], attempt[16];
    const struct errand_rows *rows;
    snprintf(id, sizeof id, "%lld", (long long)errand_id(job));
    snprintf(attempt, sizeof attempt, "%d", errand_attempt(job));
    const char *params[] = {id, attempt, name};
    return errand_query(job, PROBE_SQL_STEP_EFFECT, 3, params, &rows, error);
}

static void value_give_back(void *context)
{
    json_decref(context);
}

static bool step_take(struct errand_job *job, const char *name, size_t place, const char **error)
{
    const json_t *value = json_object_get(errand_args(job), "value");
    json_t *number = json_integer((json_int_t)place);
    errand_cleanup(job, value_give_back, number);
    bool taken = step_effect(job, name, error);
    if (taken) {
        errand_sleep(job, steps_ms(job, "work_ms"));
        taken = errand_step_done(job, name, value ? value : number, error);
    }
    return taken;
}

bool steps_one(struct errand_job *job, const char *name, size_t place, json_t *results)
{
    const char *result, *error,
        *fail_after = json_string_value(json_object_get(errand_args(job), "fail_after"));
    bool known = errand_step(job, name, &result, &error), taken = false;
    if (known && !result) {
        taken = step_take(job, name, place, &error);
        known = taken && errand_step(job, name, &result, &error);
    }
    if (!known) {
        errand_fail(job, "%s", error);
        return false;
    }
    json_array_append_new(results, json_loads(result, JSON_DECODE_ANY, NULL));
    if (!taken)
        return true;
    errand_sleep(job, steps_ms(job, "sleep_ms"));
    if (fail_after && strcmp(fail_after, name) == 0) {
        errand_fail(job, "failed after step %s", name);
        return false;
    }
    return true;
}

void steps_run(struct errand_job *job)
{
    const json_t *names = json_object_get(errand_args(job), "steps"), *name;
    json_t *results = json_array();
    size_t i;
    errand_cleanup(job, value_give_back, results);
    bool going = true;
    json_array_foreach(names, i, name) going =
        going && steps_one(job, json_string_value(name), i, results);
    if (going)
        errand_result(job, results, NULL);
}
