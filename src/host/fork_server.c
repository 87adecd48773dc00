/* A process in which the plug-in is loaded and nothing runs: it forks one for each attempt, which
 * costs a tenth of starting the program anew. The new process is the runner's child, not this
 * one's. */
#include "host/host.h"

#include "wire/fork.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Threads that loading the plug-in has started would be missing in the new process. */
static bool runs_alone(void)
{
    size_t entries = 0;
    DIR *tasks = opendir("/proc/self/task");
    while (tasks && readdir(tasks))
        entries++;
    if (tasks)
        closedir(tasks);
    return entries == 3; /* . and .. are two */
}

static bool request_receive(struct fork_request *request, int fds[FORK_DESCRIPTORS])
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FORK_DESCRIPTORS * sizeof(int))];
    struct iovec data = {request, sizeof *request};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t length;
    do
        length = recvmsg(HOST_CHANNEL, &message, MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    const struct cmsghdr *given = CMSG_FIRSTHDR(&message);
    if (length != (ssize_t)sizeof *request || !given ||
        given->cmsg_len != CMSG_LEN(FORK_DESCRIPTORS * sizeof(int)))
        return false;
    memcpy(fds, CMSG_DATA(given), FORK_DESCRIPTORS * sizeof(int));
    return true;
}

static bool answer_send(pid_t pid)
{
    const struct fork_answer answer = {pid};
    return send(HOST_CHANNEL, &answer, sizeof answer, MSG_NOSIGNAL) == (ssize_t)sizeof answer;
}

/* What loop/spawn.c does between fork and exec. */
static void process_prepare(const struct fork_request *request, const int fds[FORK_DESCRIPTORS])
{
    const struct rlimit cpu = {(rlim_t)request->cpu_seconds, (rlim_t)request->cpu_seconds + 1};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != request->runner || setsid() < 0 ||
        (request->cpu_seconds && setrlimit(RLIMIT_CPU, &cpu) != 0) ||
        dup2(fds[0], HOST_CHANNEL) < 0 || dup2(fds[1], STDOUT_FILENO) < 0 ||
        dup2(fds[1], STDERR_FILENO) < 0)
        _exit(127);
}

bool host_serve_forks(struct fork_request *request)
{
    int fds[FORK_DESCRIPTORS];
    fflush(NULL); /* else each process prints it once more */
    if (!runs_alone() || !answer_send(0))
        return false;
    while (request_receive(request, fds)) {
        long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0)
            process_prepare(request, fds);
        close(fds[0]);
        close(fds[1]);
        if (pid == 0)
            return true;
        if (!answer_send((pid_t)pid))
            return false;
    }
    return false;
}
