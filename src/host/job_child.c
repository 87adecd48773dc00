/* The call of errand/child.h for child processes: the runner starts them. */
#include "host/host.h"

#include <string.h>

static size_t texts_count(const char *const *texts)
{
    size_t count = 0;
    while (texts && texts[count])
        count++;
    return count;
}

static void child_write(const struct errand_child *child)
{
    struct buf *out = &host.out;
    frame_texts(out, texts_count(child->argv), child->argv);
    frame_texts(out, texts_count(child->env), child->env);
    frame_bytes(out, child->input, child->input_bytes);
    frame_text(out, child->cwd);
    const int64_t numbers[] = {child->timeout_ms,
                               child->grace_ms,
                               (int64_t)child->max_out_bytes,
                               (int64_t)child->max_err_bytes,
                               child->cpu_seconds,
                               child->memory_bytes,
                               child->file_bytes,
                               child->open_files,
                               child->err_is_log};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        frame_int(out, numbers[i]);
}

static void result_read(struct frame_reader *reader, struct errand_child_result *result)
{
    result->end = (enum errand_child_end)frame_read_int(reader);
    result->is_temporary = frame_read_int(reader) != 0;
    result->status = (int)frame_read_int(reader);
    result->signal = (int)frame_read_int(reader);
    result->error = frame_read_text(reader);
    result->out = frame_read_bytes(reader, &result->out_bytes);
    result->err = frame_read_bytes(reader, &result->err_bytes);
    result->out_dropped_bytes = frame_read_int(reader);
    result->err_dropped_bytes = frame_read_int(reader);
    result->started_us = frame_read_int(reader);
    result->ended_us = frame_read_int(reader);
}

void errand_child(struct errand_job *job, const struct errand_child *given,
                  struct errand_child_result *result)
{
    struct errand_child child = {0};
    struct errand_child_result told = {.size = result->size};
    memcpy(&child, given, given->size < sizeof child ? given->size : sizeof child);
    call_begin(job, WIRE_CHILD);
    child_write(&child);
    struct frame_reader reader = call_ask();
    result_read(&reader, &told);
    if (result->size < sizeof told) /* of the first one, and up to now of all */
        errand_log(job, ERRAND_ERROR,
                   "mistake: errand_child: its result has no size (.size = sizeof(struct "
                   "errand_child_result))");
    memcpy(result, &told, result->size < sizeof told ? result->size : sizeof told);
}
