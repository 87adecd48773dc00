/* Further jobs: a handler enqueues them at once, or with its own job's completion. */
#ifndef ERRAND_ENQUEUE_H
#define ERRAND_ENQUEUE_H

#include <errand/errand.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

enum errand_priority {
    ERRAND_PRIORITY_DEFAULT, /* 2 */
    ERRAND_PRIORITY_0,       /* first */
    ERRAND_PRIORITY_1,
    ERRAND_PRIORITY_2,
    ERRAND_PRIORITY_3 /* last */
};

/* A job to be enqueued, as by errand.enqueue, whose arguments these are. Zero means the default. */
struct errand_new_job {
    size_t size;                   /* sizeof(struct errand_new_job) */
    const char *kind;              /* also one without a handler here */
    const json_t *args;            /* or: */
    const char *args_text;         /* JSON; neither: {} */
    const char *queue;             /* default: the kind's own */
    const char *key, *on_conflict; /* "keep" (default), "replace", "allow" */
    enum errand_priority priority;
    int max_attempts;
    int64_t run_at_us, delay_ms; /* one of them; delay_ms counts from the moment of the insert */
    int64_t timeout_ms, unique_for_ms, expires_at_us;
    const int64_t *after; /* ids of jobs that end before */
    size_t after_count;
    const char *on_parent;   /* "cancel" (default), "run", "hold" */
    const char *const *tags; /* words */
    size_t tag_count;
    const char *trace; /* a traceparent; default: errand_trace_span of this job, if it has one */
};

/* Enqueues it at once, in a transaction of its own, and waits for it. It stands whatever becomes of
 * this job, and another attempt enqueues another one, as may a false after which the connection was
 * lost: give it a key. *id (NULL: not wanted) is the new job's, or that of the one which stands
 * under the key. False: *error (NULL: not wanted; until the attempt ends) says why, and
 * errand_query_class whether to try again. */
bool errand_enqueue(struct errand_job *job, const struct errand_new_job *new_job, int64_t *id,
                    const char **error);
/* Enqueues it in the transaction that writes this attempt's end down, as errand_effect does: once.
 * False: *error says what is wrong with it, and nothing is added; what the database finds wrong
 * with it later fails the attempt. */
bool errand_enqueue_effect(struct errand_job *job, const struct errand_new_job *new_job,
                           const char **error);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
