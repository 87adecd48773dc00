#include "loop/warden.h"

#include "base/mem.h"
#include "loop/stray.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The warden ---- */

struct warden_list {
    pid_t *groups;
    size_t count, capacity;
};

static void list_take(struct warden_list *list, pid_t told)
{
    if (told > 0) {
        if (list->count == list->capacity) {
            list->capacity = list->capacity ? list->capacity * 2 : 64;
            list->groups = mem_resize(list->groups, list->capacity * sizeof *list->groups);
        }
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
    prctl(PR_SET_NAME, "errand-warden");
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

void warden_stop(struct warden *warden)
{
    if (!warden->pid)
        return;
    pid_t pid = warden->pid;
    warden_forget(warden);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}
