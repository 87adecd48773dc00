/* The calls of errand/signal.h for signals. */
#include "host/host.h"

bool errand_wait(struct errand_job *job, const char *name, int64_t timeout_ms, const char **payload,
                 const char **error)
{
    struct frame_reader reader;
    call_begin(job, WIRE_WAIT);
    frame_text(&host.out, name);
    frame_int(&host.out, timeout_ms);
    bool done = call_ask_done(&reader, error);
    *payload = frame_read_text(&reader);
    return done;
}

/* A payload that is no JSON goes as an empty text: the runner has the sentence for it. */
static void signal_begin(struct errand_job *job, enum wire_call call, int64_t id, const char *name,
                         const json_t *payload)
{
    const char *text = payload ? errand_json_text(job, payload) : NULL;
    call_begin(job, call);
    frame_int(&host.out, id);
    frame_text(&host.out, name);
    frame_text(&host.out, payload && !text ? "" : text);
}

static bool signal_send(struct frame_reader *reader, const char **error)
{
    bool done = call_ask_done(reader, error);
    host.sql_class = (enum errand_sql_class)frame_read_int(reader);
    return done;
}

bool errand_signal(struct errand_job *job, int64_t id, const char *name, const json_t *payload,
                   const char **became, const char **error)
{
    struct frame_reader reader;
    signal_begin(job, WIRE_SIGNAL, id, name, payload);
    bool done = signal_send(&reader, error);
    const char *text = frame_read_text(&reader);
    if (done && became)
        *became = text;
    return done;
}

bool errand_signal_effect(struct errand_job *job, int64_t id, const char *name,
                          const json_t *payload, const char **error)
{
    struct frame_reader reader;
    signal_begin(job, WIRE_SIGNAL_EFFECT, id, name, payload);
    return signal_send(&reader, error);
}
