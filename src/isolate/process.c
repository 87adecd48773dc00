#include "isolate/process.h"

#include "base/mem.h"
#include "isolate/fork_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The program ---- */

/* Beside errand, as it is built, or where it is installed. NULL: it is nowhere. */
static char *program_find(void)
{
    static const char *const places[] = {"/errand-host", "/../libexec/errand/errand-host"};
    char own[4096], path[4200];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s", own, places[i]);
        if (access(path, X_OK) == 0)
            return mem_strdup(path);
    }
    return NULL;
}

/* Looked for once: errand's own name changes when its file is replaced. */
const char *process_program(void)
{
    static char *found;
    if (!found)
        found = program_find();
    return found;
}

/* ---- Life ---- */

static void on_channel(void *owner)
{
    struct process *process = owner;
    process->events.on_event(process->events.owner);
}

static void on_child(struct child *child, void *owner)
{
    struct process *process = owner;
    (void)child;
    process->has_ended = true;
    process->events.on_event(process->events.owner);
}

static void on_output(void *owner, const char *data, size_t length)
{
    struct process *process = owner;
    if (process->events.on_output)
        process->events.on_output(process->events.owner, data, length);
}

static void process_run(struct process *process, struct children *children,
                        const struct process_plan *plan, int channel)
{
    const char *const argv[] = {process_program(), ERRAND_VERSION, plan->path, plan->name, NULL};
    const struct child_options options = {
        .plan = {.argv = argv, .limits = plan->limits, .channel = channel},
        .timeout_ms = plan->timeout_ms,
        .on_err = on_output,
    };
    process->child = child_start(children, &options, on_child, process);
}

bool process_start(struct process *process, struct children *children,
                   const struct process_plan *plan, const struct process_events *events,
                   struct err *err)
{
    int ours, theirs;
    *process = (struct process){.events = *events};
    if (!process_program())
        return err_set(err, ERR_CONFIG,
                       "errand-host, which runs plug-ins in a process of their own, is not there: "
                       "it belongs beside errand or into ../libexec/errand");
    if (!channel_pair(&ours, &theirs, err))
        return false;
    channel_init(&process->channel, children->loop, ours, on_channel, process);
    process_run(process, children, plan, theirs);
    close(theirs);
    return true;
}

bool process_adopt(struct process *process, struct children *children, const struct forked *forked,
                   const struct process_events *events)
{
    const struct child_options options = {.on_err = on_output};
    *process = (struct process){.events = *events};
    channel_init(&process->channel, children->loop, forked->channel, on_channel, process);
    process->child = child_adopt(children, &options, forked->pid, forked->output, forked->mark,
                                 on_child, process);
    if (!process->child)
        channel_clear(&process->channel);
    return process->child != NULL;
}

void process_clear(struct process *process)
{
    channel_clear(&process->channel);
    child_free(process->child);
}

void process_end_text(const struct process *process, char *text, size_t size)
{
    const struct child *child = process->child;
    const char *name = child->signal ? sigabbrev_np(child->signal) : NULL;
    if (child->end == CHILD_NOT_STARTED)
        snprintf(text, size, "%s", child->err.text);
    else if (!child->signal)
        snprintf(text, size, "exit status %d", child->status);
    else if (name)
        snprintf(text, size, "SIG%s (%s)", name, strsignal(child->signal));
    else
        snprintf(text, size, "signal %d", child->signal);
}
