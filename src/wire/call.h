/* What can stand in a frame. A row of WIRE_CALLS is a call of errand/errand.h that the host process
 * hands on to the runner: its number, its name, and whether the host waits for an answer (a frame
 * ANSWER: what becomes of the job, then what the call brings). A new function of the ABI that
 * needs the runner is a row here, a stub in src/host and a function in src/isolate/serve*.c. */
#ifndef WIRE_CALL_H
#define WIRE_CALL_H

#include <stdbool.h>

#define WIRE_CALLS(X)                                                                              \
    X(QUERY, "errand_query", true)                                                                 \
    X(WAIT, "errand_wait", true)                                                                   \
    X(SIGNAL, "errand_signal", true)                                                               \
    X(SIGNAL_EFFECT, "errand_signal_effect", true)                                                 \
    X(EFFECT, "errand_effect", false)                                                              \
    X(ENQUEUE, "errand_enqueue", true)                                                             \
    X(ENQUEUE_EFFECT, "errand_enqueue_effect", true)                                               \
    X(STEP, "errand_step", true)                                                                   \
    X(STEP_DONE, "errand_step_done", true)                                                         \
    X(HTTP, "errand_http", true)                                                                   \
    X(HTTP_HEADER, "errand_http_header", true)                                                     \
    X(HTTP_OPEN, "errand_http_open", true)                                                         \
    X(HTTP_READ, "errand_http_read", true)                                                         \
    X(HTTP_CLOSE, "errand_http_close", false)                                                      \
    X(CHILD, "errand_child", true)                                                                 \
    X(SLEEP, "errand_sleep", true)                                                                 \
    X(QUEUE_RATE, "errand_queue_rate", false)                                                      \
    X(QUEUE_HOLD, "errand_queue_hold", false)                                                      \
    X(QUEUE_PAUSE, "errand_queue_pause", false)                                                    \
    X(RATE_WAIT, "errand_rate_wait", true)                                                         \
    X(IS_CANCELLED, "errand_is_cancelled", true)                                                   \
    X(LOG, "errand_log", false)                                                                    \
    X(PROGRESS, "errand_progress", true)                                                           \
    X(RESULT, "errand_result", true)                                                               \
    X(FAILPOINT, "errand_failpoint", true)                                                         \
    X(ERROR_CLASS, "errand_error_class", false)                                                    \
    X(DONE, "errand_done", false)                                                                  \
    X(FAIL, "errand_fail", false)                                                                  \
    X(RETRY, "errand_retry", false)                                                                \
    X(SNOOZE, "errand_snooze", false)                                                              \
    X(CANCELLED, "errand_cancelled", false)                                                        \
    X(UNKNOWN, "errand_unknown", false)

enum wire_end {
    WIRE_GOES_ON,
    WIRE_IS_ASKED, /* to end: errand_is_cancelled from now on */
    WIRE_UNWIND    /* the call does not come back; nothing follows */
};

#define WIRE_CALL_NUMBER(number, name, answered) WIRE_##number,
enum wire_call { WIRE_CALLS(WIRE_CALL_NUMBER) WIRE_CALL_COUNT };

/* And what is no call: runner to host, then host to runner. */
enum wire_frame {
    WIRE_WORK = 1000, /* the settings, a kind, its jobs: one attempt */
    WIRE_SETTINGS,    /* the settings alone, for the start hook */
    WIRE_ANSWER,
    WIRE_DESCRIPTION, /* the module, as JSON */
    WIRE_RATE,        /* of a queue, from the start hook */
    WIRE_REFUSED,     /* why the plug-in does not describe itself, or start */
    WIRE_END          /* all is done; nothing follows */
};

#endif
