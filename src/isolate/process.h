/* One process of errand-host with its channel: started, spoken to, and at its end nothing of its
 * group is left. */
#ifndef ISOLATE_PROCESS_H
#define ISOLATE_PROCESS_H

#include "isolate/channel.h"
#include "loop/child.h"

struct process_plan {
    const char *path, *name; /* of the plug-in */
    struct spawn_limits limits;
    int timeout_ms; /* 0: none; then it gets SIGKILL */
};

struct process_events {
    /* There may be something new: a frame, room to send, the end. */
    void (*on_event)(void *owner);
    /* Of its stdout and stderr, which are one. NULL: nobody wants it. */
    void (*on_output)(void *owner, const char *data, size_t length);
    void *owner;
};

struct forked; /* fork_server.h */

struct process {
    struct child *child;
    struct channel channel;
    struct process_events events;
    bool has_ended; /* what it sent is still to be read */
};

/* Events come from the loop. False: nothing runs (ERR_TEMPORARY: the machine has no room for it
 * now). */
bool process_start(struct process *process, struct children *children,
                   const struct process_plan *plan, const struct process_events *events,
                   struct err *err);
/* The same of one that a fork server has forked; takes its descriptors over. False: it is gone. */
bool process_adopt(struct process *process, struct children *children, const struct forked *forked,
                   const struct process_events *events);
void process_clear(struct process *process); /* once it has ended; not inside on_event */

/* How it ended, into text: "SIGSEGV (Segmentation fault)", "exit status 3", ... */
const char *process_program(void); /* errand-host; NULL: it is nowhere */

void process_end_text(const struct process *process, char *text, size_t size);

#endif
