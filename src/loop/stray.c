#include "loop/stray.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LIST_BYTES = 65536,
    ENVIRON_BYTES = 262144,
    STAT_BYTES = 1024,
    ENTRIES_BYTES = 32768,
    PASSES_MAX = 50
};

static const char mark_name[] = "ERRAND_CHILD=";

void stray_mark(char mark[STRAY_MARK_BYTES], unsigned long long number)
{
    static struct timespec begun; /* another process with this number had another one */
    if (!begun.tv_sec)
        clock_gettime(CLOCK_REALTIME, &begun);
    int length = snprintf(mark, STRAY_MARK_BYTES, "%s%ld.%lld%09ld.", mark_name, (long)getpid(),
                          (long long)begun.tv_sec, begun.tv_nsec);
    if (number)
        snprintf(mark + length, (size_t)(STRAY_MARK_BYTES - length), "%020llu", number);
}

void stray_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* ---- What the kernel says of a process ---- */

/* The start of a file of /proc, NUL-terminated; its length. */
static size_t proc_read(const char *path, char *text, size_t size)
{
    size_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    for (ssize_t more; length < size - 1; length += (size_t)more) {
        more = read(file, text + length, size - 1 - length);
        if (more <= 0)
            break;
    }
    close(file);
    text[length] = '\0';
    return length;
}

/* Behind the name, which may hold anything: state, parent, group, session. */
static bool proc_session(pid_t pid, char *state, pid_t *session)
{
    char path[64], text[STAT_BYTES];
    int parent, group, found = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    proc_read(path, text, sizeof text);
    const char *behind = strrchr(text, ')');
    return behind && sscanf(behind, ") %c %d %d %d", state, &parent, &group, &found) == 4 &&
           (*session = found, true);
}

/* "" when it has none, or is not to be read. buffer is the caller's, of ENVIRON_BYTES. */
static const char *proc_mark(pid_t pid, char *buffer)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/environ", (long)pid);
    size_t length = proc_read(path, buffer, ENVIRON_BYTES);
    for (const char *at = buffer; at < buffer + length; at += strlen(at) + 1)
        if (strncmp(at, mark_name, sizeof mark_name - 1) == 0)
            return at;
    return "";
}

/* ---- Those that were adopted ---- */

struct looking {
    enum stray_fate (*fate)(void *owner, pid_t pid, const char *mark);
    void *owner;
    char *environ_bytes;
    pid_t own_session;
};

/* A child of this process that stands in its own session is somebody else's business: a handler's
 * popen, say. True: it is yet to go. */
static bool stray_treat(const struct looking *looking, pid_t pid)
{
    char state;
    pid_t session;
    if (looking->fate(looking->owner, pid, NULL) == STRAY_KNOWN ||
        !proc_session(pid, &state, &session) || session == looking->own_session)
        return false;
    if (state != 'Z') {
        const char *mark = proc_mark(pid, looking->environ_bytes);
        if (looking->fate(looking->owner, pid, mark) == STRAY_LIVES)
            return false;
        kill(pid, SIGKILL);
    }
    return waitpid(pid, NULL, WNOHANG) == 0;
}

size_t stray_look(enum stray_fate (*fate)(void *owner, pid_t pid, const char *mark), void *owner)
{
    char path[64], list[LIST_BYTES];
    size_t left = 0;
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    if (!proc_read(path, list, sizeof list))
        return 0;
    struct looking looking = {fate, owner, malloc(ENVIRON_BYTES), getsid(0)};
    for (char *at = list, *end; looking.environ_bytes; at = end) {
        pid_t pid = (pid_t)strtol(at, &end, 10);
        if (end == at)
            break;
        left += stray_treat(&looking, pid);
    }
    free(looking.environ_bytes);
    return left;
}

/* ---- Those of a process that is gone ---- */

/* The warden is a fork of a process with threads, and whatever lock one of them held at the fork
 * stays locked in it: from here on nothing is called that takes one, so no malloc and no opendir.
 */
struct pass {
    const char *mark;
    char environ_bytes[ENVIRON_BYTES];
    _Alignas(struct dirent64) char entries[ENTRIES_BYTES];
};

static bool pass_kill(struct pass *pass, pid_t pid)
{
    return pid > 0 && pid != getpid() &&
           strncmp(proc_mark(pid, pass->environ_bytes), pass->mark, strlen(pass->mark)) == 0 &&
           kill(pid, SIGKILL) == 0;
}

static size_t pass_make(struct pass *pass)
{
    size_t killed = 0;
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return 0;
    for (ssize_t length; (length = getdents64(proc, pass->entries, ENTRIES_BYTES)) > 0;)
        for (ssize_t at = 0; at < length;) {
            const struct dirent64 *entry = (const void *)(pass->entries + at);
            killed += pass_kill(pass, (pid_t)strtol(entry->d_name, NULL, 10));
            at += entry->d_reclen;
        }
    close(proc);
    return killed;
}

/* Until a pass finds none: one may have started others meanwhile. */
void stray_end_all(const char *mark)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    struct pass *pass =
        mmap(NULL, sizeof *pass, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pass == MAP_FAILED)
        return;
    pass->mark = mark;
    for (int i = 0; i < PASSES_MAX && pass_make(pass) > 0; i++)
        nanosleep(&moment, NULL);
    munmap(pass, sizeof *pass);
}
