#include "module/registry.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KIND_NAME_MAX = 63,
    KIND_ATTEMPTS = 20,
    KIND_ATTEMPTS_MAX = 1000,
    KIND_TIMEOUT_MS = 60000,
    KIND_TIMEOUT_MAX_MS = 86400000,
    KIND_BATCH_MAX = 1000,
    KIND_LANES = 8,
    KIND_LANES_MAX = 64
};

void registry_init(struct registry *registry)
{
    *registry = (struct registry){0};
}

const struct kind *registry_find(const struct registry *registry, const char *name)
{
    for (size_t i = 0; i < registry->count; i++)
        if (strcmp(registry->kinds[i].name, name) == 0)
            return &registry->kinds[i];
    return NULL;
}

static bool name_is_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = name ? strlen(name) : 0;
    return length > 0 && length <= KIND_NAME_MAX && strspn(name, allowed) == length &&
           !strchr("_.-", name[0]);
}

static bool kind_check(const struct registry *registry, const struct errand_module *module,
                       const struct errand_kind *kind, struct err *err)
{
    const struct kind *taken = kind->name ? registry_find(registry, kind->name) : NULL;
    if (kind->size != sizeof *kind)
        return err_set(err, ERR_CONFIG, "module %s: a kind has size %zu, this errand expects %zu",
                       module->name, kind->size, sizeof *kind);
    if (!name_is_valid(kind->name))
        return err_set(err, ERR_CONFIG,
                       "module %s: kind name '%s' is not 1 to 63 of a-z 0-9 _ . -, the first a "
                       "letter or digit",
                       module->name, kind->name ? kind->name : "");
    if (kind->queue && !name_is_valid(kind->queue))
        return err_set(
            err, ERR_CONFIG,
            "module %s: kind %s: queue '%s' is not 1 to 63 of a-z 0-9 _ . -, the first a "
            "letter or digit",
            module->name, kind->name, kind->queue);
    if (taken)
        return err_set(err, ERR_CONFIG, "module %s: kind %s is taken by module %s", module->name,
                       kind->name, taken->module->name);
    if (!kind->run == !kind->run_batch)
        return err_set(err, ERR_CONFIG, "module %s: kind %s needs exactly one of run and run_batch",
                       module->name, kind->name);
    if (kind->max_attempts < 0 || kind->max_attempts > KIND_ATTEMPTS_MAX || kind->timeout_ms < 0 ||
        kind->timeout_ms > KIND_TIMEOUT_MAX_MS || kind->batch_max < 0 ||
        kind->batch_max > KIND_BATCH_MAX || kind->queue_lanes < 0 ||
        kind->queue_lanes > KIND_LANES_MAX)
        return err_set(err, ERR_CONFIG,
                       "module %s: kind %s: max_attempts is 1-%d, timeout_ms 1-%d, batch_max 1-%d, "
                       "queue_lanes 1-%d",
                       module->name, kind->name, KIND_ATTEMPTS_MAX, KIND_TIMEOUT_MAX_MS,
                       KIND_BATCH_MAX, KIND_LANES_MAX);
    return true;
}

static bool registry_add_kind(struct registry *registry, const struct errand_module *module,
                              const struct errand_kind *kind, struct err *err)
{
    if (!kind_check(registry, module, kind, err))
        return false;
    registry->kinds = mem_resize(registry->kinds, (registry->count + 1) * sizeof *registry->kinds);
    registry->kinds[registry->count] = (struct kind){
        .errand = kind,
        .module = module,
        .name = kind->name,
        .queue = kind->queue ? kind->queue : "default",
        .max_attempts = kind->max_attempts ? kind->max_attempts : KIND_ATTEMPTS,
        .timeout_ms = kind->timeout_ms ? kind->timeout_ms : KIND_TIMEOUT_MS,
        .queue_lanes = kind->queue_lanes ? kind->queue_lanes : KIND_LANES,
        .batch_max = kind->run_batch && kind->batch_max ? kind->batch_max : 1,
        .number = registry->count,
    };
    registry->count++;
    return true;
}

bool registry_add(struct registry *registry, const struct errand_module *const *modules,
                  struct err *err)
{
    for (const struct errand_module *const *at = modules; *at; at++) {
        const struct errand_module *module = *at;
        if (module->abi != ERRAND_ABI)
            return err_set(err, ERR_CONFIG, "module %s was built for ABI %u, this errand has %d",
                           module->name, module->abi, ERRAND_ABI);
        if (module->size != sizeof *module)
            return err_set(err, ERR_CONFIG, "module %s has size %u, this errand expects %zu",
                           module->name, module->size, sizeof *module);
        for (size_t i = 0; i < module->kind_count; i++)
            if (!registry_add_kind(registry, module, &module->kinds[i], err))
                return false;
    }
    return true;
}

struct errand_host {
    struct registry *registry;
    const struct settings *settings;
    const struct errand_module *module;
    char error[256];
};

const char *errand_host_setting(struct errand_host *host, const char *name)
{
    return settings_text(host->settings, host->module->name, name);
}

void errand_host_queue_rate(struct errand_host *host, const char *queue, double per_second,
                            double burst)
{
    struct registry *registry = host->registry;
    registry->rates =
        mem_resize(registry->rates, (registry->rate_count + 1) * sizeof *registry->rates);
    registry->rates[registry->rate_count++] = (struct queue_rate){queue, per_second, burst};
}

void errand_host_error(struct errand_host *host, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(host->error, sizeof host->error, format, args);
    va_end(args);
}

bool registry_start(struct registry *registry, const struct settings *settings, struct err *err)
{
    for (size_t i = 0; i < registry->count; i++) {
        const struct errand_module *module = registry->kinds[i].module;
        bool again = i > 0 && registry->kinds[i - 1].module == module;
        struct errand_host host = {.registry = registry, .settings = settings, .module = module};
        if (!again && module->start && !module->start(&host))
            return err_set(err, ERR_CONFIG, "module %s: %s", module->name,
                           host.error[0] ? host.error : "refused to start");
        registry->started = i + 1;
    }
    return true;
}

void registry_clear(struct registry *registry)
{
    for (size_t i = 0; i < registry->started; i++) {
        const struct errand_module *module = registry->kinds[i].module;
        if (module->stop && (i == 0 || registry->kinds[i - 1].module != module))
            module->stop();
    }
    free(registry->kinds);
    free(registry->rates);
    registry_init(registry);
}
