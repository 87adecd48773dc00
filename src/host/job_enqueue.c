/* The calls of errand/enqueue.h for further jobs. */
#include "host/host.h"

#include <string.h>

/* The runner has the sentences for what is wrong: args that are no JSON go as an empty text. */
static const char *args_text_of(struct errand_job *job, const struct errand_new_job *new_job)
{
    const char *text = new_job->args ? errand_json_text(job, new_job->args) : new_job->args_text;
    return text || !new_job->args ? text : "";
}

static void new_job_write(struct errand_job *job, const struct errand_new_job *given)
{
    struct errand_new_job new_job = {0};
    memcpy(&new_job, given, given->size < sizeof new_job ? given->size : sizeof new_job);
    const char *const texts[] = {new_job.kind, args_text_of(job, &new_job), new_job.queue,
                                 new_job.key,  new_job.on_conflict,         new_job.on_parent,
                                 new_job.trace};
    const int64_t numbers[] = {new_job.priority,      new_job.max_attempts,
                               new_job.run_at_us,     new_job.delay_ms,
                               new_job.timeout_ms,    new_job.unique_for_ms,
                               new_job.expires_at_us, new_job.args != NULL && new_job.args_text};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        frame_text(&host.out, texts[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        frame_int(&host.out, numbers[i]);
    frame_int(&host.out, (int64_t)new_job.after_count);
    for (size_t i = 0; i < new_job.after_count; i++)
        frame_int(&host.out, new_job.after[i]);
    frame_texts(&host.out, new_job.tag_count, new_job.tags);
}

static bool enqueue(struct errand_job *job, enum wire_call call,
                    const struct errand_new_job *new_job, int64_t *id, const char **error)
{
    struct frame_reader reader;
    call_begin(job, call);
    new_job_write(job, new_job);
    bool done = call_ask_done(&reader, error);
    host.sql_class = (enum errand_sql_class)frame_read_int(&reader);
    int64_t made = frame_read_int(&reader);
    if (done && id)
        *id = made;
    return done;
}

bool errand_enqueue(struct errand_job *job, const struct errand_new_job *new_job, int64_t *id,
                    const char **error)
{
    return enqueue(job, WIRE_ENQUEUE, new_job, id, error);
}

bool errand_enqueue_effect(struct errand_job *job, const struct errand_new_job *new_job,
                           const char **error)
{
    return enqueue(job, WIRE_ENQUEUE_EFFECT, new_job, NULL, error);
}
