#include "module/registry.h"

#include "base/mem.h"
#include "module/widen.h"

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
    KIND_CANCEL_GRACE_MAX_MS = 60000,
    KIND_BATCH_MAX = 1000,
    KIND_LANES = 8,
    KIND_LANES_MAX = 64,
    RETRY_DELAYS_MAX = 100
};

static const int64_t RETRY_DELAY_MAX_MS = INT64_C(365) * 86400000;

void registry_init(struct registry *registry)
{
    *registry = (struct registry){0};
    arena_init(&registry->arena);
}

const struct kind *kind_hold(const struct kind *kind)
{
    kind->life->holders++;
    return kind;
}

void kind_release(const struct kind *kind)
{
    struct kind_life *life = kind->life;
    if (--life->holders)
        return;
    if (life->release)
        life->release(life->owner);
    free(life->kind);
    free(life);
}

const struct kind *registry_find(const struct registry *registry, const char *name)
{
    for (size_t i = 0; i < registry->count; i++)
        if (registry->kinds[i] && strcmp(registry->names[i], name) == 0)
            return registry->kinds[i];
    return NULL;
}

bool registry_name_is_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = name ? strlen(name) : 0;
    return length > 0 && length <= KIND_NAME_MAX && strspn(name, allowed) == length &&
           !strchr("_.-", name[0]);
}

bool registry_class_is_valid(const char *error_class)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(error_class);
    return length <= KIND_NAME_MAX && strspn(error_class, allowed) == length;
}

/* What is wrong with a line; NULL: nothing. */
static const char *retry_fault(const struct errand_retry *retry)
{
    static const struct {
        size_t least, most;
        const char *fault;
    } policies[] = {
        [ERRAND_RETRY_EXPONENTIAL] = {0, 2, "an exponential policy has two delays or none"},
        [ERRAND_RETRY_FIXED] = {1, 1, "a fixed policy has one delay"},
        [ERRAND_RETRY_LIST] = {1, RETRY_DELAYS_MAX, "a list has 1 to 100 delays"},
        [ERRAND_RETRY_NEVER] = {0, 0, "a policy of never has no delays"},
    };
    size_t policy = (size_t)retry->policy, count = retry->delay_count;
    if (retry->error_class && !registry_class_is_valid(retry->error_class))
        return "the class is not at most 63 of a-z 0-9 _ . -";
    if (policy > ERRAND_RETRY_NEVER)
        return "the policy is not known";
    if (count < policies[policy].least || count > policies[policy].most ||
        (policy == ERRAND_RETRY_EXPONENTIAL && count == 1) || (count && !retry->delays_ms))
        return policies[policy].fault;
    for (size_t i = 0; i < count; i++)
        if (retry->delays_ms[i] < 0 || retry->delays_ms[i] > RETRY_DELAY_MAX_MS)
            return "a delay is 0 ms to 365 days";
    if (policy == ERRAND_RETRY_EXPONENTIAL && count &&
        (retry->delays_ms[0] < 1 || retry->delays_ms[0] > retry->delays_ms[1]))
        return "exponential delays are {first, last}: 1 ms at least, the last not below the first";
    if (retry->max_attempts < 0 || retry->max_attempts > KIND_ATTEMPTS_MAX)
        return "max_attempts is 1-1000";
    if (retry->jitter_percent < 0 || retry->jitter_percent > 100)
        return "jitter_percent is 0-100";
    return NULL;
}

static const char *class_text(const struct errand_retry *retry)
{
    return retry->error_class ? retry->error_class : "";
}

static bool kind_check_retries(const struct errand_module *module, const struct errand_kind *kind,
                               struct err *err)
{
    if (kind->retry_count > WIDEN_RETRIES_MAX || (kind->retry_count && !kind->retries))
        return err_set(err, ERR_CONFIG,
                       "module %s: kind %s has %zu retry policies, 0-%d are allowed", module->name,
                       kind->name, kind->retry_count, WIDEN_RETRIES_MAX);
    for (size_t i = 0; i < kind->retry_count; i++) {
        const struct errand_retry *retry = &kind->retries[i];
        const char *fault = retry_fault(retry);
        for (size_t j = 0; j < i && !fault; j++)
            if (strcmp(class_text(retry), class_text(&kind->retries[j])) == 0)
                fault = "there are two policies for it";
        if (fault)
            return err_set(err, ERR_CONFIG, "module %s: kind %s: errors of class '%s': %s",
                           module->name, kind->name, class_text(retry), fault);
    }
    return true;
}

/* replaced: the one whose place it takes; NULL: it is new. */
static bool kind_check(const struct registry *registry, const struct errand_module *module,
                       const struct errand_kind *kind, const struct kind *replaced, struct err *err)
{
    const struct kind *taken = kind->name ? registry_find(registry, kind->name) : NULL;
    if (!registry_name_is_valid(kind->name))
        return err_set(err, ERR_CONFIG,
                       "module %s: kind name '%s' is not 1 to 63 of a-z 0-9 _ . -, the first a "
                       "letter or digit",
                       module->name, kind->name ? kind->name : "");
    if (kind->queue && !registry_name_is_valid(kind->queue))
        return err_set(
            err, ERR_CONFIG,
            "module %s: kind %s: queue '%s' is not 1 to 63 of a-z 0-9 _ . -, the first a "
            "letter or digit",
            module->name, kind->name, kind->queue);
    if (taken && taken != replaced)
        return err_set(err, ERR_CONFIG, "module %s: kind %s is taken by module %s", module->name,
                       kind->name, taken->module->name);
    if (!kind->run == !kind->run_batch)
        return err_set(err, ERR_CONFIG, "module %s: kind %s needs exactly one of run and run_batch",
                       module->name, kind->name);
    if (kind->max_attempts < 0 || kind->max_attempts > KIND_ATTEMPTS_MAX || kind->timeout_ms < 0 ||
        kind->timeout_ms > KIND_TIMEOUT_MAX_MS || kind->batch_max < 0 ||
        kind->batch_max > KIND_BATCH_MAX || kind->queue_lanes < 0 ||
        kind->queue_lanes > KIND_LANES_MAX || kind->cancel_grace_ms < 0 ||
        kind->cancel_grace_ms > KIND_CANCEL_GRACE_MAX_MS)
        return err_set(err, ERR_CONFIG,
                       "module %s: kind %s: max_attempts is 1-%d, timeout_ms 1-%d, batch_max 1-%d, "
                       "queue_lanes 1-%d, cancel_grace_ms 0-%d",
                       module->name, kind->name, KIND_ATTEMPTS_MAX, KIND_TIMEOUT_MAX_MS,
                       KIND_BATCH_MAX, KIND_LANES_MAX, KIND_CANCEL_GRACE_MAX_MS);
    return kind_check_retries(module, kind, err);
}

/* The number of a name; a new one for a name that is new. */
static size_t registry_number(struct registry *registry, const char *name)
{
    size_t number = 0;
    while (number < registry->count && strcmp(registry->names[number], name) != 0)
        number++;
    if (number < registry->count)
        return number;
    registry->count++;
    registry->kinds = mem_resize(registry->kinds, registry->count * sizeof(const struct kind *));
    registry->names = mem_resize(registry->names, registry->count * sizeof(char *));
    registry->kinds[number] = NULL;
    registry->names[number] = mem_strdup(name);
    return number;
}

static void registry_set(struct registry *registry, const struct registry_offer *offer)
{
    const struct errand_kind *given = offer->errand;
    size_t number = registry_number(registry, given->name);
    struct kind *kind = mem_alloc(sizeof *kind);
    struct kind_life *life = mem_alloc(sizeof *life);
    *life = (struct kind_life){1, kind, offer->release, offer->owner};
    *kind = (struct kind){
        .errand = given,
        .module = offer->module,
        .name = given->name,
        .queue = given->queue ? given->queue : "default",
        .max_attempts = given->max_attempts ? given->max_attempts : KIND_ATTEMPTS,
        .timeout_ms = given->timeout_ms ? given->timeout_ms : KIND_TIMEOUT_MS,
        .queue_lanes = given->queue_lanes ? given->queue_lanes : KIND_LANES,
        .batch_max = given->run_batch && given->batch_max ? given->batch_max : 1,
        .concurrency = offer->concurrency,
        .number = number,
        .life = life,
    };
    if (registry->kinds[number])
        kind_release(registry->kinds[number]);
    registry->kinds[number] = kind;
}

/* Takes the last numbers back, of kinds that nobody has seen yet. */
static void registry_shrink(struct registry *registry, size_t count)
{
    while (registry->count > count) {
        size_t number = --registry->count;
        if (registry->kinds[number])
            kind_release(registry->kinds[number]);
        free(registry->names[number]);
    }
}

static void registry_unset(struct registry *registry, size_t number)
{
    if (registry->kinds[number])
        kind_release(registry->kinds[number]);
    registry->kinds[number] = NULL;
}

static bool registry_add_module(struct registry *registry, const struct errand_module *given,
                                struct err *err)
{
    const struct errand_module *module = module_widen(&registry->arena, given, err);
    size_t before = registry->count;
    for (size_t i = 0; module && i < module->kind_count; i++) {
        const struct registry_offer offer = {.module = module, .errand = &module->kinds[i]};
        bool ok = kind_check(registry, module, offer.errand, NULL, err);
        if (ok)
            registry_set(registry, &offer);
        if (!ok) {
            registry_shrink(registry, before);
            return false;
        }
    }
    return module != NULL;
}

bool registry_put(struct registry *registry, const struct registry_offer *offer, struct err *err)
{
    const struct kind *before = registry_find(registry, offer->errand->name);
    bool replaces = before && before->life->release;
    if (!kind_check(registry, offer->module, offer->errand, replaces ? before : NULL, err))
        return false;
    registry_set(registry, offer);
    return true;
}

void registry_remove(struct registry *registry, const char *name)
{
    const struct kind *kind = registry_find(registry, name);
    if (kind)
        registry_unset(registry, kind->number);
}

bool registry_add(struct registry *registry, const struct errand_module *const *modules,
                  struct err *err)
{
    for (const struct errand_module *const *at = modules; *at; at++)
        if (!registry_add_module(registry, *at, err))
            return false;
    return true;
}

struct errand_host {
    struct registry *registry;
    const struct settings *settings;
    const struct errand_module *module;
    char error[256];
};

const struct errand_module *registry_host_module(const struct errand_host *host)
{
    return host->module;
}

const struct settings *registry_host_settings(const struct errand_host *host)
{
    return host->settings;
}

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
        const struct errand_module *module = registry->kinds[i]->module;
        bool again = i > 0 && registry->kinds[i - 1]->module == module;
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
        const struct errand_module *module = registry->kinds[i]->module;
        if (module->stop && (i == 0 || registry->kinds[i - 1]->module != module))
            module->stop();
    }
    registry_shrink(registry, 0);
    free(registry->kinds);
    free(registry->names);
    free(registry->rates);
    arena_clear(&registry->arena);
    registry_init(registry);
}
