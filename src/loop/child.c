#include "loop/child.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 65536,
    READS_A_TURN = 16, /* then the others' turn */
    /* How long output may still come after everything in the group was killed: what holds the pipe
     * then is no part of it. */
    DRAIN_MS = 500,
    LOOK_SOON_MS = 5, /* for strays, when a program has ended */
    LOOK_AGAIN_MS = 20,
    LOOK_EVERY_MS = 10000, /* while programs run: some end by themselves */
    LOOKS_AT_LAST = 100
};

/* ---- Strays ---- */

static enum stray_fate children_fate(void *owner, pid_t pid, const char *mark)
{
    const struct children *children = owner;
    if (pid == children->warden.pid)
        return STRAY_KNOWN;
    for (const struct child *child = children->first; child; child = child->next) {
        if (pid == child->spawn.pid)
            return STRAY_KNOWN;
        if (mark && !child->has_ended && (!*mark || strcmp(mark, child->mark) == 0))
            return STRAY_LIVES;
    }
    return STRAY_ENDS;
}

static void look_within(struct children *children, int ms)
{
    loop_timer_set_least(&children->look, clock_mono_us() + (int64_t)ms * 1000);
}

static void on_look(void *owner)
{
    struct children *children = owner;
    if (stray_look(children_fate, children) > 0)
        look_within(children, LOOK_AGAIN_MS);
    else if (children->first)
        look_within(children, LOOK_EVERY_MS);
}

static void children_end_strays(struct children *children)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    for (int i = 0; i < LOOKS_AT_LAST && stray_look(children_fate, children) > 0; i++)
        nanosleep(&moment, NULL);
}

/* ---- All of them ---- */

void children_init(struct children *children, struct loop *loop)
{
    *children = (struct children){.loop = loop};
    loop_timer_init(&children->look, loop, on_look, children);
    /* Ignored (by whoever started errand), it would take the exit status away. */
    signal(SIGCHLD, SIG_DFL);
}

/* To its group; one that was adopted may not lead it yet. */
static void child_signal(const struct child *child, int number)
{
    if (kill(-child->spawn.pid, number) != 0)
        kill(child->spawn.pid, number);
}

void children_kill(struct children *children)
{
    for (struct child *child = children->first; child; child = child->next)
        child_signal(child, SIGKILL);
}

static void child_leave_list(struct child *child)
{
    struct child **at = &child->children->first;
    while (*at != child)
        at = &(*at)->next;
    *at = child->next;
}

static void io_close(struct child *child, struct ev_io *io)
{
    if (io->fd < 0)
        return;
    ev_io_stop(child->children->loop->ev, io);
    close(io->fd);
    io->fd = -1;
}

/* ---- The end ---- */

static void child_tell(void *owner)
{
    struct child *child = owner;
    child->on_done(child, child->owner);
}

/* The program stays a zombie until here, so that its number cannot be another group's. */
static void child_finish(struct child *child)
{
    child_signal(child, SIGKILL);
    warden_tell(&child->children->warden, -child->spawn.pid);
    while (waitpid(child->spawn.pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    loop_timer_stop(&child->timeout);
    loop_timer_stop(&child->force);
    io_close(child, &child->ended);
    io_close(child, &child->writable);
    io_close(child, &child->out.ready);
    io_close(child, &child->err_out.ready);
    child_leave_list(child);
    look_within(child->children, LOOK_SOON_MS);
    loop_defer(child->children->loop, &child->tell);
}

static void child_check_end(struct child *child)
{
    if (child->has_ended && child->out.ready.fd < 0 && child->err_out.ready.fd < 0)
        child_finish(child);
}

static void on_ended(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct child *child = watcher->data;
    siginfo_t info = {0};
    (void)events;
    if (waitid(P_PID, (id_t)child->spawn.pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        !info.si_pid)
        return;
    ev_io_stop(ev, watcher);
    child->has_ended = true;
    if (info.si_code == CLD_EXITED)
        child->status = info.si_status;
    else
        child->signal = info.si_status;
    child->end = child->is_asked ? child->asked_why : child->signal ? CHILD_SIGNALED : CHILD_EXITED;
    child_signal(child, SIGKILL);
    look_within(child->children, LOOK_SOON_MS);
    loop_timer_stop(&child->timeout);
    loop_timer_set(&child->force, clock_mono_us() + DRAIN_MS * 1000);
    child_check_end(child);
}

static void on_force(void *owner)
{
    struct child *child = owner;
    if (child->has_ended)
        child_finish(child);
    else
        child_signal(child, SIGKILL);
}

static void child_ask(struct child *child, enum child_end why, int grace_ms)
{
    if (child->has_ended || child->end == CHILD_NOT_STARTED)
        return;
    if (!child->is_asked) {
        child->is_asked = true;
        child->asked_why = why;
        child_signal(child, grace_ms > 0 ? SIGTERM : SIGKILL);
    }
    loop_timer_set_least(&child->force, clock_mono_us() + (int64_t)grace_ms * 1000);
}

void child_cancel(struct child *child, int grace_ms)
{
    child_ask(child, CHILD_CANCELLED, grace_ms);
}

static void on_timeout(void *owner)
{
    struct child *child = owner;
    child_ask(child, CHILD_TIMEOUT, child->grace_ms);
}

/* ---- Input and output ---- */

static void output_keep(struct child_output *output, const char *data, size_t length)
{
    size_t room = output->max_bytes - output->kept.length;
    size_t kept = length < room ? length : room;
    if (kept)
        buf_add(&output->kept, data, kept);
    output->dropped_bytes += (int64_t)(length - kept);
}

static void on_readable(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct child_output *output = watcher->data;
    char data[READ_BYTES];
    (void)ev, (void)events;
    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t length = read(watcher->fd, data, sizeof data);
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (length <= 0) {
            io_close(output->child, watcher);
            child_check_end(output->child);
            return;
        }
        output_keep(output, data, (size_t)length);
        if (output->on_data)
            output->on_data(output->child->owner, data, (size_t)length);
    }
}

static void on_writable(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct child *child = watcher->data;
    (void)events;
    while (child->input_bytes) {
        ssize_t length = write(watcher->fd, child->input, child->input_bytes);
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (length < 0) /* it reads no more, which is its own affair */
            break;
        child->input += length;
        child->input_bytes -= (size_t)length;
    }
    if (child->input_bytes || !child->on_written)
        io_close(child, watcher);
    else
        ev_io_stop(ev, watcher);
    if (child->on_written)
        child->on_written(child->owner);
}

void child_write(struct child *child, const void *input, size_t input_bytes)
{
    assert(child->on_written && !child->input_bytes);
    child->input = input;
    child->input_bytes = input_bytes;
    if (child_takes_input(child))
        ev_io_start(child->children->loop->ev, &child->writable);
}

bool child_takes_input(const struct child *child)
{
    return child->writable.fd >= 0;
}

void child_close_input(struct child *child)
{
    io_close(child, &child->writable);
}

/* ---- Starting ---- */

static void output_init(struct child *child, struct child_output *output, size_t max_bytes,
                        void (*on_data)(void *owner, const char *data, size_t length))
{
    output->child = child;
    output->on_data = on_data;
    output->ready.fd = -1;
    output->max_bytes = max_bytes;
    buf_init(&output->kept, 0);
}

static void child_watch(struct child *child)
{
    struct ev_loop *ev = child->children->loop->ev;
    ev_io_init(&child->ended, on_ended, child->spawn.pidfd, EV_READ);
    ev_io_init(&child->writable, on_writable, child->spawn.in, EV_WRITE);
    ev_io_init(&child->out.ready, on_readable, child->spawn.out, EV_READ);
    ev_io_init(&child->err_out.ready, on_readable, child->spawn.err, EV_READ);
    child->ended.data = child->writable.data = child;
    child->out.ready.data = &child->out;
    child->err_out.ready.data = &child->err_out;
    ev_io_start(ev, &child->ended);
    if (child->spawn.out >= 0)
        ev_io_start(ev, &child->out.ready);
    ev_io_start(ev, &child->err_out.ready);
    if (child->input_bytes)
        ev_io_start(ev, &child->writable);
    else if (!child->on_written)
        io_close(child, &child->writable);
}

void children_mark(struct children *children, char mark[STRAY_MARK_BYTES])
{
    if (children->count++ == 0)
        stray_adopt();
    stray_mark(mark, children->count);
}

/* That knows of all that run. */
static bool children_guard(struct children *children, struct err *err)
{
    bool is_new;
    if (!warden_ready(&children->warden, &is_new, err))
        return false;
    for (struct child *each = children->first; is_new && each; each = each->next)
        warden_tell(&children->warden, each->spawn.pid);
    return true;
}

static bool child_spawn(struct child *child, const struct spawn_plan *wanted)
{
    struct children *children = child->children;
    struct spawn_plan plan = *wanted;
    if (!children_guard(children, &child->err))
        return false;
    plan.group_fd = children->warden.groups;
    children_mark(children, child->mark);
    plan.mark = child->mark;
    if (spawn_start(&plan, &child->spawn, &child->err))
        return true;
    if (child->spawn.pid > 0)
        warden_tell(&children->warden, -child->spawn.pid);
    return false;
}

static struct child *child_new(struct children *children, const struct child_options *options,
                               void (*on_done)(struct child *child, void *owner), void *owner)
{
    struct child *child = mem_zalloc(sizeof *child);
    child->children = children;
    child->on_done = on_done;
    child->on_written = options->on_written;
    child->owner = owner;
    child->input = options->input;
    child->input_bytes = options->input_bytes;
    child->grace_ms = options->grace_ms;
    child->status = -1;
    child->tell = (struct loop_deferred){.run = child_tell, .owner = child};
    child->writable.fd = -1;
    output_init(child, &child->out, options->max_out_bytes, options->on_out);
    output_init(child, &child->err_out, options->max_err_bytes, options->on_err);
    loop_timer_init(&child->timeout, children->loop, on_timeout, child);
    loop_timer_init(&child->force, children->loop, on_force, child);
    return child;
}

static void child_join(struct child *child, int timeout_ms)
{
    struct children *children = child->children;
    child->next = children->first;
    children->first = child;
    look_within(children, LOOK_EVERY_MS);
    child_watch(child);
    if (timeout_ms > 0)
        loop_timer_set(&child->timeout, clock_mono_us() + (int64_t)timeout_ms * 1000);
}

struct child *child_start(struct children *children, const struct child_options *options,
                          void (*on_done)(struct child *child, void *owner), void *owner)
{
    struct child *child = child_new(children, options, on_done, owner);
    if (child_spawn(child, &options->plan)) {
        child_join(child, options->timeout_ms);
        return child;
    }
    child->end = CHILD_NOT_STARTED;
    loop_defer(children->loop, &child->tell);
    return child;
}

/* A pidfd of a process that nobody has waited for; -1: there is none, or it is another's. */
static int pidfd_of(const struct children *children, pid_t pid)
{
    siginfo_t info;
    for (const struct child *each = children->first; each; each = each->next)
        if (each->spawn.pid == pid)
            return -1;
    if (pid <= 0 || pid == children->warden.pid ||
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return -1;
    return pidfd_open(pid, 0);
}

struct child *child_adopt(struct children *children, const struct child_options *options, pid_t pid,
                          int err_fd, const char *mark,
                          void (*on_done)(struct child *child, void *owner), void *owner)
{
    struct err err;
    int pidfd = children_guard(children, &err) ? pidfd_of(children, pid) : -1;
    if (pidfd < 0) {
        close(err_fd);
        return NULL;
    }
    struct child *child = child_new(children, options, on_done, owner);
    child->spawn = (struct spawn){.pid = pid, .pidfd = pidfd, .in = -1, .out = -1, .err = err_fd};
    strcpy(child->mark, mark);
    warden_tell(&children->warden, pid);
    child_join(child, options->timeout_ms);
    return child;
}

void child_free(struct child *child)
{
    buf_clear(&child->out.kept);
    buf_clear(&child->err_out.kept);
    free(child);
}

/* ---- The end of all ---- */

static void output_drop(struct child_output *output, const struct pollfd *polled)
{
    char data[READ_BYTES];
    if (polled->revents && read(polled->fd, data, sizeof data) == 0)
        io_close(output->child, &output->ready);
}

/* Until it has ended or its time is up; what it writes must not keep it. */
static void child_await(struct child *child, int64_t until_us)
{
    for (;;) {
        int64_t left_us = until_us - clock_mono_us();
        struct pollfd polled[] = {{.fd = child->spawn.pidfd, .events = POLLIN},
                                  {.fd = child->out.ready.fd, .events = POLLIN},
                                  {.fd = child->err_out.ready.fd, .events = POLLIN}};
        if (child->has_ended || left_us <= 0 ||
            (poll(polled, 3, (int)(left_us / 1000) + 1) < 0 && errno != EINTR))
            return;
        if (polled[0].revents)
            return;
        output_drop(&child->out, &polled[1]);
        output_drop(&child->err_out, &polled[2]);
    }
}

void children_clear(struct children *children)
{
    int64_t begun_us = clock_mono_us();
    for (struct child *child = children->first; child; child = child->next)
        child_close_input(child);
    while (children->first) {
        struct child *child = children->first;
        child_await(child, begun_us + (int64_t)child->grace_ms * 1000);
        child->end = CHILD_CANCELLED;
        child_finish(child);
        loop_defer_cancel(children->loop, &child->tell);
        child_tell(child);
    }
    loop_timer_stop(&children->look);
    if (children->count)
        children_end_strays(children);
    warden_stop(&children->warden);
}
