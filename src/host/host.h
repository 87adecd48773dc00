/* errand-host: one plug-in in a process of its own. The functions of errand/errand.h are here, too:
 * what needs the database, HTTP, the queue or time is a frame to the runner (wire/call.h) and the
 * wait for its answer; the rest is done here. There is no loop and no coroutine, and nothing here
 * is freed: the process ends with the attempt. */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "base/arena.h"
#include "wire/call.h"
#include "wire/fork.h"
#include "wire/frame.h"

#include <errand/errand.h>
#include <signal.h>

enum { HOST_CHANNEL = 3 }; /* the descriptor of the socket to the runner */

/* A job as its handler sees it. */
struct errand_job {
    int64_t number; /* among the attempt's, from 0 */
    int64_t id, run_at_us;
    int attempt, max_attempts;
    const char *kind, *queue, *args_text, *trace, *trace_span;
    json_t *args;
    bool args_parsed;
};

struct host_setting {
    const char *name, *value; /* NULL: unset */
};

struct host_cleanup;

struct host {
    const struct errand_module *module;
    struct arena arena;
    int64_t clock_offset_us; /* database's clock = monotonic one + this */
    struct host_setting *settings;
    size_t setting_count;
    struct errand_job **jobs;
    size_t job_count;
    volatile sig_atomic_t cancelled;
    enum errand_sql_class sql_class;
    int64_t retry_after_ms;        /* of the last answer over HTTP; -1: it says nothing */
    struct host_cleanup *cleanups; /* the last one first */
    struct buf out;                /* the frame that is written */
    size_t begun;
};

extern struct host host;

const char *host_setting(const char *name); /* NULL: unset, or not there */

/* ---- Frames to the runner; where it is gone, the process ends ---- */

void host_begin(unsigned what); /* then frame_*(&host.out, ...), then host_send */
void host_send(void);
/* The next frame; what is read from it stays. */
struct frame_reader host_receive(unsigned *what);
/* A sentence, as printf: WIRE_REFUSED. */
void host_refuse(const char *text);

/* A call of the ABI: begin, fields, then tell (no answer comes) or ask (what the call brings). */
void call_begin(const struct errand_job *job, enum wire_call call);
void call_tell(void);
/* Asks; what comes first is whether it went well, and if not, why. */
bool call_ask_done(struct frame_reader *reader, const char **error);
struct frame_reader call_ask(void);

/* ---- The end: cleanup functions, the stop hook; then nothing comes back ---- */

void host_cleanup(void); /* cleanup.c */
_Noreturn void host_end(void);

/* ---- What the process does, each until its end ---- */

/* Forks; true in each new process, with what was asked; false at this one's end. fork_server.c */
bool host_serve_forks(struct fork_request *request);

void host_describe(void);                     /* describe.c */
void host_start(struct frame_reader *reader); /* the start hook alone */
void host_work(struct frame_reader *reader);  /* the start hook, then one attempt */

#endif
