/* A small process beside this one that knows the process groups of its programs and outlives it by
 * a moment: when this process is gone, whatever ended it, the warden sends SIGKILL to every group
 * that is left, and to what has left its group (stray.h), and ends. The kernel alone would only end
 * the program itself, and not what that has started. */
#ifndef LOOP_WARDEN_H
#define LOOP_WARDEN_H

#include "base/err.h"

#include <sys/types.h>

struct warden {
    pid_t pid;  /* 0: none runs */
    int groups; /* the pipe it reads: pid_t, negative when the group is over; not blocking */
};

/* One that runs, started if need be. *is_new: it knows no group yet. */
bool warden_ready(struct warden *warden, bool *is_new, struct err *err);
/* The group begins (its number) or is over (the number, negative: before it can be another's). A
 * warden that does not listen is ended, so that it never acts on what it has not heard. */
void warden_tell(struct warden *warden, pid_t group);
/* It ends; one that does not in time is ended. */
void warden_stop(struct warden *warden);

#endif
