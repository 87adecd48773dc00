/* probe.enqueue {"new": {"kind": "some.kind", ...}}  makes that job, its members those of struct
 * errand_new_job
 *               {"with": true}                      with its completion
 *               {"retry": true}                     and then its first attempt fails
 * Its result: the new job's id, and its own traces. */
#include "enqueue.h"

#include <string.h>

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void lists_fill(struct errand_job *job, struct errand_new_job *new_job, const json_t *given)
{
    const json_t *after = json_object_get(given, "after"), *tags = json_object_get(given, "tags");
    int64_t *ids = errand_alloc(job, (json_array_size(after) + 1) * sizeof *ids);
    const char **words = errand_alloc(job, (json_array_size(tags) + 1) * sizeof *words);
    for (size_t i = 0; i < json_array_size(after); i++)
        ids[i] = json_integer_value(json_array_get(after, i));
    for (size_t i = 0; i < json_array_size(tags); i++)
        words[i] = json_string_value(json_array_get(tags, i));
    new_job->after = ids;
    new_job->after_count = json_array_size(after);
    new_job->tags = words;
    new_job->tag_count = json_array_size(tags);
}

static struct errand_new_job new_job_of(struct errand_job *job, const json_t *given)
{
    const json_t *priority = json_object_get(given, "priority");
    struct errand_new_job new_job = {
        .size = sizeof new_job,
        .kind = text_of(given, "kind"),
        .args = json_object_get(given, "args"),
        .args_text = text_of(given, "args_text"),
        .queue = text_of(given, "queue"),
        .key = text_of(given, "key"),
        .on_conflict = text_of(given, "on_conflict"),
        .max_attempts = (int)number_of(given, "max_attempts"),
        .run_at_us = number_of(given, "run_at_us"),
        .delay_ms = number_of(given, "delay_ms"),
        .timeout_ms = number_of(given, "timeout_ms"),
        .unique_for_ms = number_of(given, "unique_for_ms"),
        .expires_at_us = number_of(given, "expires_at_us"),
        .on_parent = text_of(given, "on_parent"),
        .trace = text_of(given, "trace"),
    };
    if (priority)
        new_job.priority =
            (enum errand_priority)(ERRAND_PRIORITY_0 + (int)json_integer_value(priority));
    lists_fill(job, &new_job, given);
    return new_job;
}

static const char *class_name(const struct errand_job *job)
{
    return errand_query_class(job) == ERRAND_SQL_TEMPORARY ? "temporary" : "permanent";
}

void probe_enqueue(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    const struct errand_new_job new_job = new_job_of(job, json_object_get(args, "new"));
    const char *error = "";
    int64_t id = 0;
    bool made = json_is_true(json_object_get(args, "with"))
                    ? errand_enqueue_effect(job, &new_job, &error)
                    : errand_enqueue(job, &new_job, &id, &error);
    if (!made) {
        errand_fail(job, "%s: %s", class_name(job), error);
        return;
    }
    if (json_is_true(json_object_get(args, "retry")) && errand_attempt(job) == 1) {
        errand_retry(job, 0, "again");
        return;
    }
    json_t *shown = json_pack("{s:I, s:s?, s:s?}", "id", (json_int_t)id, "trace", errand_trace(job),
                              "span", errand_trace_span(job));
    errand_result(job, shown, NULL);
    json_decref(shown);
}
