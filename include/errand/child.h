/* Child processes: a handler runs a program, with limits and bounded output. */
#ifndef ERRAND_CHILD_H
#define ERRAND_CHILD_H

#include <errand/errand.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* A program to run. It has of errand's environment PATH, HOME, USER, LOGNAME, SHELL, TZ, TMPDIR and
 * the locale, and ERRAND_CHILD, and no descriptor but its three; it leads a process group (and
 * session) of its own.
 * Zero means the default; a limit of 0 is errand's own. */
struct errand_child {
    size_t size;             /* sizeof(struct errand_child) */
    const char *const *argv; /* program (found in PATH when it has no slash), arguments, NULL */
    const void *input;       /* its stdin */
    size_t input_bytes;
    const char *const *env; /* "NAME=value" ..., NULL: beside those above, or instead of them */
    const char *cwd;        /* default: errand's */
    int timeout_ms;         /* default: none but the attempt's */
    int grace_ms;           /* between SIGTERM and SIGKILL; default 2000 */
    size_t max_out_bytes;   /* of its stdout; default 1 MiB; more is read, dropped and counted */
    size_t max_err_bytes;   /* of its stderr; the same */
    int64_t cpu_seconds, memory_bytes /* of address space */, file_bytes, open_files;
    bool err_is_log; /* the lines of its stderr that are not blank are the job's log, of level info,
                        as they come; at most 200, the last of which says how many are left out */
};

enum errand_child_end {
    ERRAND_CHILD_EXITED,   /* status */
    ERRAND_CHILD_SIGNALED, /* signal: its own fault, a limit, or somebody's kill */
    ERRAND_CHILD_NOT_RUN,  /* the program could not be started: error */
    ERRAND_CHILD_TIMEOUT,  /* it was ended when timeout_ms were up */
    ERRAND_CHILD_CANCELLED /* it was ended (or not started) as the job is to end */
};

struct errand_child_result {
    size_t size; /* sizeof(struct errand_child_result), set by the caller */
    enum errand_child_end end;
    bool is_temporary;     /* of NOT_RUN: for want of memory, processes or descriptors */
    int status;            /* exit status; -1: it has none */
    int signal;            /* that ended it; 0: none */
    const char *error;     /* one line; NULL: it exited with status 0 */
    const char *out, *err; /* NUL-terminated behind their bytes; until the attempt ends */
    size_t out_bytes, err_bytes;
    int64_t out_dropped_bytes, err_dropped_bytes;
    int64_t started_us, ended_us; /* database's clock */
};

/* Runs it and waits for its end. When the attempt's time is up, the job is cancelled or errand
 * stops, its process group gets SIGTERM, and SIGKILL after the grace; whatever of the group is left
 * when the program has ended gets SIGKILL, too, and so does what has left the group (setsid), by
 * the variable ERRAND_CHILD of its environment. The same when the runner itself is killed. */
void errand_child(struct errand_job *job, const struct errand_child *child,
                  struct errand_child_result *result);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
