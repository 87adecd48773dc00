/* The calls for signals. */
#include "isolate/serve.h"

#include "module/json_text.h"

bool serve_WAIT(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    const char *name = frame_read_present(in), *payload = NULL, *error = NULL;
    int64_t timeout_ms = frame_read_int(in);
    if (!frame_is_read(in))
        return false;
    frame_int(out, errand_wait(job, name, timeout_ms, &payload, &error));
    frame_text(out, error);
    frame_text(out, payload);
    return true;
}

/* A signal that is sent. */
struct sent {
    int64_t id;
    const char *name;
    json_t *payload; /* NULL: null */
    bool is_bad;     /* it had one that is no JSON */
};

static void payload_free(void *payload)
{
    json_decref(payload);
}

/* The call may be unwound. */
static bool sent_read(struct errand_job *job, struct frame_reader *in, struct sent *sent)
{
    sent->id = frame_read_int(in);
    sent->name = frame_read_present(in);
    const char *text = frame_read_text(in);
    if (!frame_is_read(in))
        return false;
    if (text && json_text_is_shallow(text))
        sent->payload = json_loads(text, JSON_DECODE_ANY, NULL);
    sent->is_bad = text && !sent->payload;
    errand_cleanup(job, payload_free, sent->payload);
    return true;
}

static bool sent_answer(struct errand_job *job, struct sent *sent, struct buf *out, bool done,
                        const char *error)
{
    if (sent->is_bad)
        error = errand_printf(job,
                              "signal \"%.200s\": of its payload: it is no JSON value of at "
                              "most 32 levels",
                              sent->name);
    frame_int(out, done);
    frame_text(out, error);
    frame_int(out, sent->is_bad ? ERRAND_SQL_PERMANENT : errand_query_class(job));
    errand_cleanup_now(job, payload_free, sent->payload);
    return true;
}

bool serve_SIGNAL(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct sent sent = {0};
    const char *became = NULL, *error = NULL;
    if (!sent_read(job, in, &sent))
        return false;
    bool done =
        !sent.is_bad && errand_signal(job, sent.id, sent.name, sent.payload, &became, &error);
    sent_answer(job, &sent, out, done, error);
    frame_text(out, became);
    return true;
}

bool serve_SIGNAL_EFFECT(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct sent sent = {0};
    const char *error = NULL;
    if (!sent_read(job, in, &sent))
        return false;
    bool done = !sent.is_bad && errand_signal_effect(job, sent.id, sent.name, sent.payload, &error);
    return sent_answer(job, &sent, out, done, error);
}
