#include "loop/spawn.h"

#include "base/mem.h"
#include "loop/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIPE_COUNT = 3 };

/* What a program may know of errand's environment: nothing there is a secret. */
static const char *const spawn_inherited[] = {"PATH", "HOME",   "USER",   "LOGNAME",  "SHELL", "TZ",
                                              "LANG", "LC_ALL", "TMPDIR", "LC_CTYPE", NULL};

/* Shared with the new process until it is the program (vfork). */
struct spawn_stage {
    const struct spawn_plan *plan;
    char **env;
    int theirs[PIPE_COUNT];
    pid_t parent;
    const char *volatile failed; /* what the new process could not do; NULL: nothing */
    volatile int failed_errno;
};

/* ---- In the new process: only calls that are safe after vfork ---- */

static bool stage_fail(struct spawn_stage *stage, const char *what)
{
    stage->failed_errno = errno;
    stage->failed = what;
    return false;
}

static bool stage_limit(__rlimit_resource_t what, int64_t soft, int64_t hard)
{
    struct rlimit now;
    if (getrlimit(what, &now) != 0)
        return false;
    if (now.rlim_max > (rlim_t)hard)
        now.rlim_max = (rlim_t)hard;
    now.rlim_cur = (rlim_t)soft < now.rlim_max ? (rlim_t)soft : now.rlim_max;
    return setrlimit(what, &now) == 0;
}

/* The address space last: this process still has errand's. */
static bool stage_limit_all(const struct spawn_limits *limits)
{
    int64_t cpu = limits->cpu_seconds, files = limits->file_bytes, open = limits->open_files,
            memory = limits->memory_bytes, first_open = descriptor_first_limit();
    return stage_limit(RLIMIT_CORE, 0, 0) &&
           /* SIGXCPU first, SIGKILL a second later */
           (cpu <= 0 || stage_limit(RLIMIT_CPU, cpu, cpu < INT64_MAX ? cpu + 1 : cpu)) &&
           (files <= 0 || stage_limit(RLIMIT_FSIZE, files, files)) &&
           (open > 0 ? stage_limit(RLIMIT_NOFILE, open, open)
                     : first_open < 0 || stage_limit(RLIMIT_NOFILE, first_open, INT64_MAX)) &&
           (memory <= 0 || stage_limit(RLIMIT_AS, memory, memory));
}

static void stage_reset_signals(void)
{
    const struct sigaction initial = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &initial, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool stage_take_pipes(struct spawn_stage *stage)
{
    for (int i = 0; i < PIPE_COUNT; i++)
        if (dup2(stage->theirs[i], i) < 0)
            return false;
    int channel = stage->plan->channel;
    if (!channel)
        return close_range(PIPE_COUNT, ~0U, 0) == 0;
    bool taken = channel == PIPE_COUNT ? fcntl(channel, F_SETFD, 0) == 0
                                       : dup2(channel, PIPE_COUNT) == PIPE_COUNT;
    return taken && close_range(PIPE_COUNT + 1, ~0U, 0) == 0;
}

static bool stage_tell_group(const struct spawn_stage *stage)
{
    pid_t group = getpid();
    if (!stage->plan->group_fd)
        return true;
    return write(stage->plan->group_fd, &group, sizeof group) == (ssize_t)sizeof group;
}

static bool stage_prepare(struct spawn_stage *stage)
{
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return stage_fail(stage, "its process group");
    if (getppid() != stage->parent) /* it died before it could be watched */
        _exit(127);
    if (!stage_tell_group(stage))
        return stage_fail(stage, "its warden");
    if (!stage_take_pipes(stage))
        return stage_fail(stage, "its pipes");
    if (stage->plan->cwd && chdir(stage->plan->cwd) != 0)
        return stage_fail(stage, stage->plan->cwd);
    stage_reset_signals();
    if (!stage_limit_all(&stage->plan->limits))
        return stage_fail(stage, "its limits");
    return true;
}

static _Noreturn void stage_become(struct spawn_stage *stage)
{
    if (stage_prepare(stage)) {
        char *const *argv = (char *const *)(uintptr_t)stage->plan->argv;
        execvpe(argv[0], argv, stage->env);
        stage_fail(stage, argv[0]);
    }
    _exit(127);
}

/* ---- In errand ---- */

static bool env_has(const char *const *env, const char *name)
{
    size_t length = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return true;
    return false;
}

static const char *environ_of(const char *name)
{
    size_t length = strlen(name);
    for (char **each = environ; each && *each; each++)
        if (strncmp(*each, name, length) == 0 && (*each)[length] == '=')
            return *each;
    return NULL;
}

static char **env_build(const char *const *given, const char *mark)
{
    size_t count = 0, room = sizeof spawn_inherited / sizeof *spawn_inherited;
    for (const char *const *each = given; each && *each; each++)
        room++;
    const char **env = mem_zalloc((room + 2) * sizeof *env);
    if (mark) /* before one of that name that was given */
        env[count++] = mark;
    for (const char *const *name = spawn_inherited; *name; name++) {
        const char *own = environ_of(*name);
        if (own && !env_has(given, *name))
            env[count++] = own;
    }
    for (; given && *given; given++)
        env[count++] = *given;
    return (char **)(uintptr_t)env;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Never 0 to 2, which dup2 in the new process is to write over. */
static bool pipe_make(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= PIPE_COUNT)
            continue;
        int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, PIPE_COUNT);
        if (moved < 0) {
            close_all(ends, 2);
            return false;
        }
        close(ends[i]);
        ends[i] = moved;
    }
    return true;
}

static bool pipes_make(int *theirs, int *ours)
{
    for (int i = 0; i < PIPE_COUNT; i++) {
        int ends[2];
        if (!pipe_make(ends)) {
            close_all(theirs, (size_t)i);
            close_all(ours, (size_t)i);
            return false;
        }
        theirs[i] = ends[i == 0 ? 0 : 1];
        ours[i] = ends[i == 0 ? 1 : 0];
        fcntl(ours[i], F_SETFL, O_NONBLOCK);
    }
    return true;
}

/* No handler of errand's may run in the new process, which shares its memory until the exec. */
static pid_t spawn_vfork(struct spawn_stage *stage)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (pid == 0)
        stage_become(stage);
    int kept = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = kept;
    return pid;
}

static bool errno_is_temporary(int number)
{
    return number == EAGAIN || number == ENOMEM || number == EMFILE || number == ENFILE ||
           number == EPIPE || number == ETXTBSY;
}

static void stage_describe(const struct spawn_stage *stage, struct err *err)
{
    const char *program = stage->plan->argv[0], *failed = stage->failed;
    enum err_code code = errno_is_temporary(stage->failed_errno) ? ERR_TEMPORARY : ERR_PERMANENT;
    const char *why = strerror(stage->failed_errno);
    if (failed != program)
        err_set(err, code, "cannot start %s: %s: %s", program, failed, why);
    else if (stage->failed_errno == ENOENT && *program == '/' && access(program, F_OK) == 0)
        err_set(err, code,
                "cannot start %s: the file is there, what is to run it is not (the program behind "
                "#!, or the loader): %s",
                program, why);
    else
        err_set(err, code, "cannot start %s: %s", program, why);
}

static bool spawn_run(struct spawn_stage *stage, struct spawn *spawn, struct err *err)
{
    const char *program = stage->plan->argv[0];
    spawn->pid = spawn_vfork(stage);
    if (spawn->pid < 0)
        return err_set(err, ERR_TEMPORARY, "cannot start %s: %s", program, strerror(errno));
    spawn->pidfd = pidfd_open(spawn->pid, 0);
    if (spawn->pidfd >= 0 && !stage->failed)
        return true;
    if (stage->failed)
        stage_describe(stage, err);
    else
        err_set(err, ERR_TEMPORARY, "cannot watch %s: %s", program, strerror(errno));
    kill(-spawn->pid, SIGKILL);
    waitpid(spawn->pid, NULL, 0);
    if (spawn->pidfd >= 0)
        close(spawn->pidfd);
    return false;
}

bool spawn_start(const struct spawn_plan *plan, struct spawn *spawn, struct err *err)
{
    struct spawn_stage stage = {.plan = plan, .parent = getpid()};
    int ours[PIPE_COUNT];
    err_clear(err);
    if (!plan->argv || !plan->argv[0])
        return err_set(err, ERR_BUG,
                       "no program was named, or the struct has no size (.size = "
                       "sizeof(struct errand_child))");
    if (!pipes_make(stage.theirs, ours))
        return err_set(err, ERR_TEMPORARY, "cannot start %s: pipes: %s", plan->argv[0],
                       strerror(errno));
    stage.env = env_build(plan->env, plan->mark);
    bool runs = spawn_run(&stage, spawn, err);
    free(stage.env);
    close_all(stage.theirs, PIPE_COUNT);
    if (!runs)
        close_all(ours, PIPE_COUNT);
    spawn->in = ours[0];
    spawn->out = ours[1];
    spawn->err = ours[2];
    return runs;
}
