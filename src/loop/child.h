/* A program that runs beside the loop: its input comes from memory, all at once or piece by piece;
 * its output is kept up to a bound; its end is told once. Nothing of its process group outlives
 * that end, and what has left the group (by setsid) not for long: see stray.h. The process ignores
 * SIGPIPE. */
#ifndef LOOP_CHILD_H
#define LOOP_CHILD_H

#include "base/buf.h"
#include "loop/loop.h"
#include "loop/spawn.h"
#include "loop/stray.h"
#include "loop/warden.h"

/* All that run, so that none is left when this process ends. */
struct children {
    struct loop *loop;
    struct warden warden; /* from the first child on */
    struct child *first;
    unsigned long long count; /* that were ever started */
    struct loop_timer look;   /* for strays */
};

void children_init(struct children *children, struct loop *loop);
/* What still runs has its stdin closed, and SIGKILL after its grace (the call waits for that);
 * on_done comes from within. */
void children_clear(struct children *children);
/* SIGKILL to every group, with no word to anybody: this process is about to end. */
void children_kill(struct children *children);

struct child_options {
    struct spawn_plan plan; /* but group_fd */
    const void *input;      /* borrowed until the end is told */
    size_t input_bytes;
    int timeout_ms; /* 0: none; then it is ended as child_cancel ends it */
    int grace_ms;   /* between SIGTERM and SIGKILL at the timeout; of children_clear */
    size_t max_out_bytes, max_err_bytes; /* what comes past that is read and dropped */
    /* All that comes on its stderr, piece by piece, before on_done; NULL: not wanted. */
    void (*on_err)(void *owner, const char *data, size_t length);
    void (*on_out)(void *owner, const char *data, size_t length); /* the same of its stdout */
    /* Its stdin stays open behind input: on_written comes when all is written, or when it reads no
     * more (child_takes_input), and then child_write may give it the next piece. NULL: closed. */
    void (*on_written)(void *owner);
};

enum child_end { CHILD_EXITED, CHILD_SIGNALED, CHILD_NOT_STARTED, CHILD_TIMEOUT, CHILD_CANCELLED };

struct child_output {
    struct buf kept;
    size_t max_bytes;
    int64_t dropped_bytes;
    struct child *child;
    void (*on_data)(void *owner, const char *data, size_t length);
    struct ev_io ready; /* fd -1: it is at its end */
};

struct child {
    struct children *children;
    struct child *next;
    struct spawn spawn;
    char mark[STRAY_MARK_BYTES];
    struct ev_io ended, writable;
    struct child_output out, err_out;
    const char *input;
    size_t input_bytes;
    int grace_ms;
    struct loop_timer timeout, force;
    struct loop_deferred tell;
    void (*on_written)(void *owner);
    void (*on_done)(struct child *child, void *owner);
    void *owner;
    bool has_ended, is_asked; /* the program; to end */
    enum child_end asked_why;
    /* From on_done on: */
    enum child_end end;
    int status;     /* CHILD_EXITED, and after TIMEOUT or CANCELLED when it exited; else -1 */
    int signal;     /* that ended it; 0: none */
    struct err err; /* CHILD_NOT_STARTED */
};

/* on_done comes exactly once, and never from within child_start or child_cancel; it may free. */
struct child *child_start(struct children *children, const struct child_options *options,
                          void (*on_done)(struct child *child, void *owner), void *owner);
/* A process that is this one's child already, and leads its group or is about to: as child_start,
 * but it has no stdin and no stdout here. Takes err_fd over, which does not block. NULL: it is
 * gone. */
struct child *child_adopt(struct children *children, const struct child_options *options, pid_t pid,
                          int err_fd, const char *mark,
                          void (*on_done)(struct child *child, void *owner), void *owner);
/* A mark (stray.h) that none had before, for a process to be adopted. */
void children_mark(struct children *children, char mark[STRAY_MARK_BYTES]);
/* SIGTERM to the group, SIGKILL after the grace (0: at once). Asked again, the earlier time counts.
 */
void child_cancel(struct child *child, int grace_ms);
void child_free(struct child *child); /* from on_done on */

/* Of one with on_written, nothing is being written: the next piece, borrowed until on_written or
 * the end. What was not written of it is child->input_bytes. */
void child_write(struct child *child, const void *input, size_t input_bytes);
bool child_takes_input(const struct child *child); /* its stdin is open */
void child_close_input(struct child *child);

#endif
