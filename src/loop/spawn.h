/* Starting a program: what happens between this process and the program's first instruction. The
 * program leads a session and process group of its own, dies with the thread that started it, and
 * has of errand three pipes, the descriptor that the plan names, and a short list of environment
 * variables: no other descriptor, no signal mask, no handler. */
#ifndef LOOP_SPAWN_H
#define LOOP_SPAWN_H

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* 0: as errand's own. Never more than errand's own hard limit. */
struct spawn_limits {
    int64_t cpu_seconds, memory_bytes, file_bytes, open_files;
};

struct spawn_plan {
    const char *const
        *argv;              /* program, arguments, NULL; without a slash it is looked for in PATH */
    const char *const *env; /* "NAME=value" ..., NULL, beside PATH, HOME, the locale and the like;
                               NULL: none */
    const char *mark;       /* one more of these, which env cannot replace; NULL: none */
    const char *cwd;        /* NULL: errand's */
    struct spawn_limits limits;
    int group_fd; /* where the new process writes its group before anything runs; 0: nowhere */
    int channel;  /* becomes its descriptor 3; 0: none */
};

struct spawn {
    pid_t pid;        /* also its process group */
    int pidfd;        /* readable when it has ended */
    int in, out, err; /* this side of its pipes, not blocking */
};

/* False: no program runs, and err says why (ERR_TEMPORARY: the machine has no room for it now). */
bool spawn_start(const struct spawn_plan *plan, struct spawn *spawn, struct err *err);

#endif
