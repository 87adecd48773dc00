#include "isolate/fork_server.h"

#include "base/clock.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    IDLE_MS = 1000,
    ANSWER_MS = 2000,
    FAILURES_MAX = 3 /* then each attempt starts the program, until errand starts anew */
};

_Static_assert((int)FORK_MARK_BYTES == (int)STRAY_MARK_BYTES, "a request holds a whole mark");

/* STARTING --answer--> READY --idle, another file, no answer in time--> ENDING --> (freed) */
struct fork_server {
    struct isolate_module *module;
    struct children *children;
    struct child *child;
    int socket;
    struct ev_io readable;
    struct forked *first, **last; /* not answered yet, in order */
    struct loop_timer late, idle;
    enum { SERVER_STARTING, SERVER_READY, SERVER_ENDING } state;
    struct stat file; /* that it has loaded */
};

/* ---- The end ---- */

static void server_answer(struct fork_server *server, pid_t pid)
{
    struct forked *forked = server->first;
    server->first = forked->next;
    if (!server->first)
        server->last = &server->first;
    forked->pid = pid;
    forked->is_answered = true;
    forked->on_answer(forked->owner);
}

static void server_close(struct fork_server *server)
{
    server->state = SERVER_ENDING;
    ev_io_stop(server->children->loop->ev, &server->readable);
    loop_timer_stop(&server->late);
    loop_timer_stop(&server->idle);
    while (server->first)
        server_answer(server, -1);
}

/* What it forked and nobody took ends by itself, as nobody speaks to it. */
static void server_end(struct fork_server *server)
{
    server_close(server);
    child_cancel(server->child, 0);
}

static void server_fail(struct fork_server *server)
{
    server->module->fork_failures++;
    server_end(server);
}

static void on_done(struct child *child, void *owner)
{
    struct fork_server *server = owner;
    if (server->state != SERVER_ENDING) {
        server->module->fork_failures++;
        server_close(server);
    }
    server->module->fork_server = NULL;
    close(server->socket);
    child_free(child);
    free(server);
}

static void on_late(void *owner)
{
    server_fail(owner);
}

static void on_idle(void *owner)
{
    server_end(owner);
}

/* ---- Answers ---- */

static void server_await(struct fork_server *server)
{
    bool waits = server->first || server->state == SERVER_STARTING;
    loop_timer_set(&server->late, waits ? clock_mono_us() + ANSWER_MS * 1000 : INT64_MAX);
}

static void on_readable(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct fork_server *server = watcher->data;
    struct fork_answer answer;
    ssize_t length;
    (void)ev, (void)events;
    while ((length = recv(server->socket, &answer, sizeof answer, 0)) == (ssize_t)sizeof answer) {
        if (server->state == SERVER_READY && server->first)
            server_answer(server, answer.pid);
        server->state = SERVER_READY;
        server_await(server);
    }
    if (length >= 0)
        server_fail(server);
}

/* ---- Starting ---- */

static void server_run(struct fork_server *server, const struct process_plan *plan, int theirs)
{
    const char *const argv[] = {process_program(), ERRAND_VERSION, plan->path,
                                plan->name,        "fork",         NULL};
    struct child_options options = {
        .plan = {.argv = argv, .limits = plan->limits, .channel = theirs}};
    options.plan.limits.cpu_seconds = 0; /* of each attempt */
    server->child = child_start(server->children, &options, on_done, server);
}

static void server_start(struct isolate_module *module, struct children *children,
                         const struct process_plan *plan, const struct stat *file)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    struct fork_server *server = mem_zalloc(sizeof *server);
    *server = (struct fork_server){
        .module = module, .children = children, .socket = ends[0], .file = *file};
    server->last = &server->first;
    loop_timer_init(&server->late, children->loop, on_late, server);
    loop_timer_init(&server->idle, children->loop, on_idle, server);
    ev_io_init(&server->readable, on_readable, server->socket, EV_READ);
    server->readable.data = server;
    ev_io_start(children->loop->ev, &server->readable);
    server_run(server, plan, ends[1]);
    close(ends[1]);
    server_await(server);
    module->fork_server = server;
}

/* ---- Asking ---- */

/* Ready, of the file as it is now, and no longer idle; what is neither is on its way. */
static struct fork_server *server_of(struct isolate_module *module, struct children *children,
                                     const struct process_plan *plan)
{
    struct fork_server *server = module->fork_server;
    int64_t now_us = clock_mono_us(), before_us = module->asked_us;
    struct stat file;
    module->asked_us = now_us;
    if (stat(plan->path, &file) != 0 || module->fork_failures == FAILURES_MAX)
        return NULL;
    if (!server && before_us && now_us - before_us < IDLE_MS * 1000)
        server_start(module, children, plan, &file);
    if (!server)
        return NULL;
    if (server->state == SERVER_READY &&
        (server->file.st_ino != file.st_ino || server->file.st_dev != file.st_dev ||
         server->file.st_size != file.st_size ||
         memcmp(&server->file.st_mtim, &file.st_mtim, sizeof file.st_mtim) != 0))
        server_end(server);
    loop_timer_set(&server->idle,
                   server->state == SERVER_ENDING ? INT64_MAX : now_us + IDLE_MS * 1000);
    return server->state == SERVER_READY ? server : NULL;
}

static bool request_send(const struct fork_server *server, const struct fork_request *request,
                         const int fds[FORK_DESCRIPTORS])
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FORK_DESCRIPTORS * sizeof(int))] = {0};
    struct fork_request sent = *request;
    struct iovec data = {&sent, sizeof sent};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *given = CMSG_FIRSTHDR(&message);
    *given = (struct cmsghdr){.cmsg_len = CMSG_LEN(FORK_DESCRIPTORS * sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(given), fds, FORK_DESCRIPTORS * sizeof(int));
    return sendmsg(server->socket, &message, MSG_NOSIGNAL) == (ssize_t)sizeof sent;
}

static bool output_pair(int *ours, int *theirs)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *ours = ends[0];
    *theirs = ends[1];
    return true;
}

static bool server_ask(struct fork_server *server, const struct process_plan *plan,
                       struct forked *forked)
{
    struct err err;
    int theirs[FORK_DESCRIPTORS];
    struct fork_request request = {.runner = getpid(), .cpu_seconds = plan->limits.cpu_seconds};
    if (!channel_pair(&forked->channel, &theirs[0], &err))
        return false;
    if (!output_pair(&forked->output, &theirs[1])) {
        close(forked->channel);
        close(theirs[0]);
        return false;
    }
    children_mark(server->children, request.mark);
    memcpy(forked->mark, request.mark, sizeof forked->mark);
    bool sent = request_send(server, &request, theirs);
    close(theirs[0]);
    close(theirs[1]);
    if (!sent) {
        close(forked->channel);
        close(forked->output);
    }
    return sent;
}

bool fork_server_ask(struct isolate_module *module, struct children *children,
                     const struct process_plan *plan, struct forked *forked)
{
    struct fork_server *server = server_of(module, children, plan);
    if (!server || !server_ask(server, plan, forked))
        return false;
    forked->is_answered = false;
    forked->next = NULL;
    if (!server->first)
        loop_timer_set(&server->late, clock_mono_us() + ANSWER_MS * 1000);
    *server->last = forked;
    server->last = &forked->next;
    return true;
}
