#include "isolate/isolate.h"

#include "isolate/description.h"
#include "isolate/handler.h"
#include "isolate/module.h"
#include "module/plugin.h"
#include "module/registry.h"
#include "wire/call.h"

#include <string.h>

enum { ASK_TIMEOUT_MS = 5000, ASK_RATES_MAX = 1000, ASK_MEMORY_BYTES = 1 << 30 };

/* ---- A conversation while nothing else happens: on a loop of its own ---- */

struct ask {
    struct loop loop;
    struct children children;
    struct process process;
    /* False: the conversation is over. */
    bool (*on_frame)(struct ask *ask, unsigned what, struct frame_reader *reader);
    struct arena *arena;
    const char *description;
    struct errand_host *host;
    size_t rates;
    bool is_over; /* it said all that it had to say, or what it may not say */
    struct err *err;
};

static bool ask_refuse(struct ask *ask, const char *text)
{
    return err_set(ask->err, ERR_CONFIG, "%s", text);
}

static void ask_read(struct ask *ask)
{
    struct frame_reader reader;
    unsigned what;
    while (!ask->is_over && channel_next(&ask->process.channel, &reader, &what))
        if (what == WIRE_REFUSED) {
            ask_refuse(ask, frame_read_present(&reader));
            ask->is_over = true;
        } else {
            ask->is_over = !ask->on_frame(ask, what, &reader);
        }
    if (!ask->is_over && ask->process.channel.fault) {
        ask_refuse(ask, ask->process.channel.fault);
        ask->is_over = true;
    }
}

static void ask_on_event(void *owner)
{
    struct ask *ask = owner;
    ask_read(ask);
    if (ask->process.has_ended)
        loop_stop(&ask->loop);
    else if (ask->is_over)
        child_cancel(ask->process.child, 0);
}

static void ask_tell_end(struct ask *ask, const char *doing)
{
    char end[160];
    process_end_text(&ask->process, end, sizeof end);
    if (ask->process.child->end == CHILD_TIMEOUT)
        err_set(ask->err, ERR_CONFIG, "%s took more than %d s", doing, ASK_TIMEOUT_MS / 1000);
    else
        err_set(ask->err, ERR_CONFIG, "%s ended its process: %s", doing, end);
}

/* Sends what stands in first, reads until on_frame has enough. */
static bool ask_run(struct ask *ask, const struct process_plan *plan, const struct buf *first,
                    const char *doing)
{
    const struct process_events events = {.on_event = ask_on_event, .owner = ask};
    loop_init(&ask->loop);
    children_init(&ask->children, &ask->loop);
    err_clear(ask->err);
    if (process_start(&ask->process, &ask->children, plan, &events, ask->err)) {
        buf_add(&ask->process.channel.out, first->data, first->length);
        channel_send(&ask->process.channel);
        ask_read(ask);
        loop_run(&ask->loop);
        ask_read(ask);
        if (!ask->is_over)
            ask_tell_end(ask, doing);
        process_clear(&ask->process);
    }
    children_clear(&ask->children);
    loop_clear(&ask->loop);
    return ask->err->code == ERR_NONE;
}

/* ---- The start hook ---- */

static bool start_on_frame(struct ask *ask, unsigned what, struct frame_reader *reader)
{
    if (what == WIRE_END)
        return false;
    const char *queue = frame_read_present(reader);
    double per_second = frame_read_double(reader), burst = frame_read_double(reader);
    if (what != WIRE_RATE || !frame_is_read(reader) || ask->rates++ == ASK_RATES_MAX)
        return ask_refuse(ask, "it sent what is no frame");
    errand_host_queue_rate(ask->host, arena_strdup(ask->arena, queue), per_second, burst);
    return true;
}

/* Stands for the plug-in's own, and marks the modules that are of this sort. */
static bool isolate_start(struct errand_host *host)
{
    const struct errand_module *module = registry_host_module(host);
    const struct isolate_module *isolated = (const struct isolate_module *)module;
    const struct settings *settings = registry_host_settings(host);
    struct process_plan plan = isolate_plan(module, settings);
    struct err err;
    struct buf first;
    struct ask ask = {
        .on_frame = start_on_frame, .arena = isolated->arena, .host = host, .err = &err};
    if (!isolated->has_start)
        return true;
    plan.timeout_ms = ASK_TIMEOUT_MS;
    buf_init(&first, 0);
    size_t begun = frame_begin(&first, WIRE_SETTINGS);
    isolate_write_settings(&first, module, settings);
    frame_end(&first, begun);
    bool started = ask_run(&ask, &plan, &first, "its start hook");
    buf_clear(&first);
    if (!started)
        errand_host_error(host, "%s", err.text);
    return started;
}

/* ---- Describing ---- */

static bool describe_on_frame(struct ask *ask, unsigned what, struct frame_reader *reader)
{
    const char *text = frame_read_present(reader);
    if (what != WIRE_DESCRIPTION || !frame_is_read(reader))
        return ask_refuse(ask, "it sent what is no frame");
    ask->description = arena_strdup(ask->arena, text);
    return false;
}

static void module_take_handlers(struct errand_module *module)
{
    struct errand_kind *kinds = (struct errand_kind *)(uintptr_t)module->kinds;
    for (size_t i = 0; i < module->kind_count; i++) {
        kinds[i].run = kinds[i].run ? handler_run : NULL;
        kinds[i].run_batch = kinds[i].run_batch ? handler_run_batch : NULL;
    }
}

const struct errand_module *isolate_describe(const char *path, const char *name,
                                             struct arena *arena, struct err *err)
{
    const struct process_plan plan = {.path = path,
                                      .name = name,
                                      .limits = {.memory_bytes = ASK_MEMORY_BYTES},
                                      .timeout_ms = ASK_TIMEOUT_MS};
    struct ask ask = {.on_frame = describe_on_frame, .arena = arena, .err = err};
    struct buf first;
    buf_init(&first, 0);
    frame_end(&first, frame_begin(&first, WIRE_DESCRIPTION));
    bool told = ask_run(&ask, &plan, &first, "loading it");
    buf_clear(&first);
    struct isolate_module *isolated = arena_zalloc(arena, sizeof *isolated);
    if (!told || !description_read(ask.description, arena, &isolated->module, err))
        return NULL;
    isolated->path = arena_strdup(arena, path);
    isolated->arena = arena;
    isolated->has_start = isolated->module.start != NULL;
    isolated->module.start = isolate_start;
    module_take_handlers(&isolated->module);
    return &isolated->module;
}

/* ---- What the operator wants inside ---- */

static bool module_is_as_described(const struct errand_module *module,
                                   const struct errand_module *opened)
{
    bool same = module->kind_count == opened->kind_count &&
                module->statement_count == opened->statement_count;
    for (size_t i = 0; same && i < module->kind_count; i++)
        same = opened->kinds[i].name && strcmp(module->kinds[i].name, opened->kinds[i].name) == 0;
    return same;
}

static bool isolate_open(struct isolate_module *isolated, struct err *err)
{
    struct errand_module *module = &isolated->module;
    struct errand_kind *kinds = (struct errand_kind *)(uintptr_t)module->kinds;
    const struct errand_module *opened =
        plugin_open(isolated->path, module->name, isolated->arena, err);
    if (!opened)
        return err_prefix(err, "%s: ", isolated->path);
    if (!module_is_as_described(module, opened))
        return err_set(err, ERR_CONFIG, "%s: it is not what it was a moment ago", isolated->path);
    for (size_t i = 0; i < module->kind_count; i++) {
        kinds[i].run = opened->kinds[i].run;
        kinds[i].run_batch = opened->kinds[i].run_batch;
    }
    module->start = opened->start;
    module->stop = opened->stop;
    return true;
}

bool isolate_settle(const struct errand_module *const *modules, const struct settings *settings,
                    struct err *err)
{
    for (const struct errand_module *const *at = modules; *at; at++) {
        struct isolate_module *isolated = (struct isolate_module *)(uintptr_t)*at;
        if ((*at)->start != isolate_start)
            continue;
        const char *mode = settings_text(settings, (*at)->name, "isolation");
        bool inside = mode && strcmp(mode, "none") == 0;
        if (!inside && (!mode || strcmp(mode, "process") != 0))
            return err_set(err, ERR_CONFIG, "%s.isolation is '%.80s'; allowed: process, none",
                           (*at)->name, mode ? mode : "");
        if (inside && !isolate_open(isolated, err))
            return false;
    }
    return true;
}
