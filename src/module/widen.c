#include "module/widen.h"

#include <stdalign.h>
#include <string.h>

/* A struct of the ABI: how large the first one was, and how large it is now. */
struct widen_shape {
    const char *what;
    size_t least, now, align;
};

static const struct widen_shape widen_module = {"", offsetof(struct errand_module, start),
                                                sizeof(struct errand_module),
                                                alignof(struct errand_module)};
static const struct widen_shape widen_kind = {"a kind ", offsetof(struct errand_kind, retries),
                                              sizeof(struct errand_kind),
                                              alignof(struct errand_kind)};
static const struct widen_shape widen_retry = {
    "a retry policy ", offsetof(struct errand_retry, max_attempts), sizeof(struct errand_retry),
    alignof(struct errand_retry)};

static bool widen_check(const struct widen_shape *shape, const char *module, size_t size,
                        struct err *err)
{
    if (size >= shape->least && size <= shape->now && size % shape->align == 0)
        return true;
    return err_set(err, ERR_CONFIG, "module %s: %shas size %zu, this errand expects %zu%s", module,
                   shape->what, size, shape->now,
                   size > shape->now ? ": it was built for a newer errand" : "");
}

static size_t widen_size_at(const void *at)
{
    size_t size;
    memcpy(&size, at, sizeof size);
    return size;
}

/* An array whose elements begin with their size, all of the first one's; NULL: a bad size. */
static const void *widen_array(struct arena *arena, const struct widen_shape *shape,
                               const char *module, const void *array, size_t count, struct err *err)
{
    size_t size = widen_size_at(array);
    if (!widen_check(shape, module, size, err))
        return NULL;
    for (size_t i = 1; i < count; i++) {
        size_t other = widen_size_at((const char *)array + i * size);
        if (other != size) {
            err_set(err, ERR_CONFIG, "module %s: %shas size %zu, the one before it %zu", module,
                    shape->what, other, size);
            return NULL;
        }
    }
    if (size == shape->now)
        return array;
    char *wide = arena_zalloc(arena, count * shape->now);
    for (size_t i = 0; i < count; i++) {
        memcpy(wide + i * shape->now, (const char *)array + i * size, size);
        memcpy(wide + i * shape->now, &shape->now, sizeof shape->now);
    }
    return wide;
}

/* Copies the kinds, once, if one of them has policies that must be copied. */
static const struct errand_kind *widen_retries(struct arena *arena, const char *module,
                                               const struct errand_kind *kinds, size_t count,
                                               struct err *err)
{
    struct errand_kind *copy = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct errand_kind *kind = copy ? &copy[i] : &kinds[i];
        if (!kind->retry_count || kind->retry_count > WIDEN_RETRIES_MAX || !kind->retries)
            continue;
        const struct errand_retry *retries =
            widen_array(arena, &widen_retry, module, kind->retries, kind->retry_count, err);
        if (!retries)
            return NULL;
        if (retries == kind->retries)
            continue;
        if (!copy)
            copy = memcpy(arena_alloc(arena, count * sizeof *copy), kinds, count * sizeof *copy);
        copy[i].retries = retries;
    }
    return copy ? copy : kinds;
}

const struct errand_module *module_widen(struct arena *arena, const struct errand_module *module,
                                         struct err *err)
{
    const char *name = module->abi == ERRAND_ABI && module->name ? module->name : "?";
    if (module->abi != ERRAND_ABI) {
        err_set(err, ERR_CONFIG, "module %s was built for ABI %u, this errand has %d",
                module->name ? module->name : "?", module->abi, ERRAND_ABI);
        return NULL;
    }
    if (!widen_check(&widen_module, name, module->size, err))
        return NULL;
    const struct errand_kind *kinds = module->kinds;
    if (module->kind_count && kinds) {
        kinds = widen_array(arena, &widen_kind, name, kinds, module->kind_count, err);
        if (kinds)
            kinds = widen_retries(arena, name, kinds, module->kind_count, err);
        if (!kinds)
            return NULL;
    }
    if (module->size == sizeof *module && kinds == module->kinds)
        return module;
    struct errand_module *wide = arena_zalloc(arena, sizeof *wide);
    memcpy(wide, module, module->size);
    wide->size = (uint32_t)sizeof *wide;
    wide->kinds = kinds;
    return wide;
}
