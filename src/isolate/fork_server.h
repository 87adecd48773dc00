/* Fork servers (host/fork_server.c): a plug-in whose attempts come often has one process in which
 * it is loaded, and which forks one for each attempt. It starts with the second attempt within some
 * seconds, and ends when none came for as long. */
#ifndef ISOLATE_FORK_SERVER_H
#define ISOLATE_FORK_SERVER_H

#include "isolate/module.h"
#include "wire/fork.h"

struct fork_server;

/* A process that was asked for. */
struct forked {
    bool is_answered;
    pid_t pid;           /* -1: it did not fork */
    int channel, output; /* this side's; whoever asked closes them */
    char mark[FORK_MARK_BYTES];
    void (*on_answer)(void *owner);
    void *owner;
    struct forked *next;
};

/* True: on_answer will come, from the loop and within some seconds, and until then it stays. False:
 * there is none that could fork now. */
bool fork_server_ask(struct isolate_module *module, struct children *children,
                     const struct process_plan *plan, struct forked *forked);

#endif
