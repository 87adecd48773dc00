#include "loop/warden.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/stray.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUPS_FIRST = 1024, END_MS = 5000 };

/* ---- The warden ---- */

/* A fork of a process with threads: a lock that one of them held at the fork stays locked here, so
 * nothing here may take one. malloc does (a sanitizer's, at least, is not made good after a fork).
 */

struct warden_list {
    pid_t *groups;
    size_t count, capacity;
};

static void list_grow(struct warden_list *list)
{
    size_t bytes = list->capacity * sizeof *list->groups;
    list->capacity = bytes ? list->capacity * 2 : GROUPS_FIRST;
    size_t wanted = list->capacity * sizeof *list->groups;
    list->groups =
        bytes ? mremap(list->groups, bytes, wanted, MREMAP_MAYMOVE)
              : mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (list->groups == MAP_FAILED)
        _exit(1); /* errand starts another one */
}

static void list_take(struct warden_list *list, pid_t told)
{
    if (told > 0) {
        if (list->count == list->capacity)
            list_grow(list);
        list->groups[list->count++] = told;
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        if (list->groups[i] == -told) {
            list->groups[i] = list->groups[--list->count];
            return;
        }
}

/* Writes of one number are whole in a pipe, so reads of several are, too. */
static void warden_listen(int pipe, struct warden_list *list)
{
    pid_t told[256];
    for (;;) {
        ssize_t length = read(pipe, told, sizeof told);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return;
        for (size_t i = 0; i < (size_t)length / sizeof *told; i++)
            list_take(list, told[i]);
    }
}

/* Holds nothing of errand but the pipe, and no signal but SIGKILL ends it. */
static _Noreturn void warden_main(int pipe, const char *mark)
{
    struct warden_list list = {0};
    setsid();
    syscall(SYS_prctl, PR_SET_NAME, "errand-warden"); /* the sanitizer's own prctl takes a lock */
    if (chdir("/") != 0 || dup2(pipe, 0) < 0 || close_range(1, ~0U, 0) != 0)
        _exit(1);
    warden_listen(0, &list);
    for (size_t i = 0; i < list.count; i++)
        kill(-list.groups[i], SIGKILL);
    stray_end_all(mark);
    _exit(0);
}

/* ---- In errand ---- */

static void warden_forget(struct warden *warden)
{
    close(warden->groups);
    *warden = (struct warden){0};
}

static pid_t warden_fork(int pipe)
{
    sigset_t all, before;
    char mark[STRAY_MARK_BYTES];
    stray_mark(mark, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        warden_main(pipe, mark);
    int kept = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = kept;
    return pid;
}

static bool warden_start(struct warden *warden, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_TEMPORARY, "cannot make a pipe: %s", strerror(errno));
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    pid_t pid = warden_fork(ends[0]);
    if (pid < 0)
        err_set(err, ERR_TEMPORARY, "cannot start a process: %s", strerror(errno));
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return false;
    }
    *warden = (struct warden){.pid = pid, .groups = ends[1]};
    return true;
}

bool warden_ready(struct warden *warden, bool *is_new, struct err *err)
{
    err_clear(err);
    *is_new = false;
    if (warden->pid && waitpid(warden->pid, NULL, WNOHANG) == 0)
        return true;
    if (warden->pid)
        warden_forget(warden);
    *is_new = true;
    return warden_start(warden, err);
}

void warden_tell(struct warden *warden, pid_t group)
{
    if (!warden->pid || write(warden->groups, &group, sizeof group) == (ssize_t)sizeof group)
        return;
    kill(warden->pid, SIGKILL);
    warden_stop(warden);
}

/* Whether it ends by itself in time; it only has to look through /proc. */
static bool warden_ends(pid_t pid)
{
    int64_t until_us = clock_mono_us() + END_MS * INT64_C(1000), left_us;
    struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    if (ended.fd < 0)
        return false;
    while (!ended.revents && (left_us = until_us - clock_mono_us()) > 0)
        if (poll(&ended, 1, (int)(left_us / 1000) + 1) < 0)
            ended.revents = 0;
    close(ended.fd);
    return ended.revents != 0;
}

void warden_stop(struct warden *warden)
{
    if (!warden->pid)
        return;
    pid_t pid = warden->pid;
    warden_forget(warden);
    if (!warden_ends(pid)) {
        log_event(LOG_WARN, "warden does not end, and is ended", "pid", log_int(pid), NULL);
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}
