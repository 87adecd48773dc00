/* errand-host VERSION FILE NAME [fork]: what errand runs for a plug-in that it does not trust. Of
 * no use to people: descriptor 3 is the socket to the runner, whose first frame says what to do;
 * with fork it takes requests to fork (wire/fork.h), and the new processes do so. */
#include "host/host.h"

#include "module/plugin.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_terminate(int number)
{
    (void)number;
    host.cancelled = 1;
}

/* A handler that waits by itself is woken (no SA_RESTART), and asks errand_is_cancelled. */
static void signals_set(void)
{
    const struct sigaction terminate = {.sa_handler = on_terminate};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &terminate, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* as errand has it */
}

/* What the plug-in prints becomes lines of the job's log, as it comes and in its order. */
static void output_join(void)
{
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
}

/* When memory runs short, this process goes, and not errand. */
static void oom_prefer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t written = write(fd, "1000", 4);
    (void)written; /* without it, it is as it was */
    close(fd);
}

/* ---- What it is to do ---- */

static void host_do_frame(unsigned what, struct frame_reader reader)
{
    switch (what) {
    case WIRE_DESCRIPTION:
        host_describe();
        break;
    case WIRE_SETTINGS:
        host_start(&reader);
        break;
    default:
        host_work(&reader);
    }
}

static void host_do(void)
{
    unsigned what;
    struct frame_reader reader = host_receive(&what);
    host_do_frame(what, reader);
}

/* Of the environment as the kernel shows it, NULL: it has none. */
static char *mark_find(void)
{
    for (char **each = environ; *each; each++)
        if (strncmp(*each, "ERRAND_CHILD=", sizeof "ERRAND_CHILD=" - 1) == 0)
            return *each;
    return NULL;
}

/* A process that was forked bears the fork server's mark until the runner speaks to it: until then
 * it does not know the process, and would take it for a stray. */
static int host_fork(char *mark)
{
    struct fork_request request;
    unsigned what;
    if (!host.module || !host_serve_forks(&request))
        return 1;
    struct frame_reader reader = host_receive(&what);
    if (mark && strlen(mark) == strlen(request.mark))
        memcpy(mark, request.mark, strlen(request.mark));
    host_do_frame(what, reader);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    bool forks = argc == 5 && strcmp(argv[4], "fork") == 0;
    char *mark = mark_find(); /* the plug-in may move its environment */
    if ((argc != 4 && !forks) || strlen(argv[3]) > PLUGIN_NAME_MAX) {
        fputs("errand-host: this is errand's own, to run plug-ins in\n", stderr);
        return 2;
    }
    arena_init(&host.arena);
    buf_init(&host.out, 0);
    host.retry_after_ms = -1;
    signals_set();
    output_join();
    oom_prefer();
    if (strcmp(argv[1], ERRAND_VERSION) != 0) {
        host_refuse("errand-host is of version " ERRAND_VERSION ", this errand is not");
        return 2;
    }
    host.module = plugin_open(argv[2], argv[3], &host.arena, &err);
    if (forks)
        return host_fork(mark);
    if (!host.module)
        host_refuse(err.text);
    else
        host_do();
    return 0;
}
