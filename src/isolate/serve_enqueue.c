/* The calls for further jobs. */
#include "isolate/serve.h"

#include <limits.h>

enum { PARENTS_MAX = 100000, TAGS_MAX = 10000 };

static int int_read(struct frame_reader *in)
{
    int64_t value = frame_read_int(in);
    return value < INT_MIN ? INT_MIN : value > INT_MAX ? INT_MAX : (int)value;
}

/* In the order of host/job_enqueue.c. */
static bool new_job_read(struct errand_job *job, struct frame_reader *in,
                         struct errand_new_job *new_job)
{
    struct arena *arena = &job->attempt->arena;
    *new_job = (struct errand_new_job){.size = sizeof *new_job};
    new_job->kind = frame_read_text(in);
    new_job->args_text = frame_read_text(in);
    new_job->queue = frame_read_text(in);
    new_job->key = frame_read_text(in);
    new_job->on_conflict = frame_read_text(in);
    new_job->on_parent = frame_read_text(in);
    new_job->trace = frame_read_text(in);
    new_job->priority = (enum errand_priority)int_read(in);
    new_job->max_attempts = int_read(in);
    new_job->run_at_us = frame_read_int(in);
    new_job->delay_ms = frame_read_int(in);
    new_job->timeout_ms = frame_read_int(in);
    new_job->unique_for_ms = frame_read_int(in);
    new_job->expires_at_us = frame_read_int(in);
    if (frame_read_int(in)) /* both, which the public function refuses */
        new_job->args = json_null();
    new_job->after_count = frame_read_count(in, PARENTS_MAX);
    int64_t *after = arena_alloc(arena, (new_job->after_count + 1) * sizeof *after);
    for (size_t i = 0; i < new_job->after_count; i++)
        after[i] = frame_read_int(in);
    new_job->after = after;
    new_job->tags = serve_read_texts(job, in, TAGS_MAX, &new_job->tag_count);
    return frame_is_read(in);
}

static bool enqueue_answer(struct errand_job *job, struct buf *out, bool done, const char *error,
                           int64_t id)
{
    frame_int(out, done);
    frame_text(out, error);
    frame_int(out, errand_query_class(job));
    frame_int(out, id);
    return true;
}

bool serve_ENQUEUE(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct errand_new_job new_job;
    int64_t id = 0;
    const char *error = NULL;
    if (!new_job_read(job, in, &new_job))
        return false;
    bool done = errand_enqueue(job, &new_job, &id, &error);
    return enqueue_answer(job, out, done, error, id);
}

bool serve_ENQUEUE_EFFECT(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct errand_new_job new_job;
    const char *error = NULL;
    if (!new_job_read(job, in, &new_job))
        return false;
    bool done = errand_enqueue_effect(job, &new_job, &error);
    return enqueue_answer(job, out, done, error, 0);
}
