/* What runner and fork server (host/fork_server.c) say to each other: packets of these structs on
 * descriptor 3. Both are of one build. */
#ifndef WIRE_FORK_H
#define WIRE_FORK_H

#include <stdint.h>
#include <sys/types.h>

enum { FORK_MARK_BYTES = 64, FORK_DESCRIPTORS = 2 };

/* With two descriptors: what becomes the process's descriptor 3, and its stdout and stderr. */
struct fork_request {
    pid_t runner;
    char mark[FORK_MARK_BYTES]; /* loop/stray.h */
    int64_t cpu_seconds;        /* 0: no limit */
};

/* The first one, with 0, says that the plug-in is loaded; then one for each request, in order. */
struct fork_answer {
    pid_t pid; /* a child of the runner; -1: none */
};

#endif
