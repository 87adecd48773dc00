#include "module/plugin.h"

#include "module/widen.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const struct errand_module *plugin_module(const void *symbol, const char *name,
                                                 struct arena *arena, struct err *err)
{
    uint32_t abi;
    memcpy(&abi, symbol, sizeof abi); /* of another ABI nothing else is known */
    if (abi != ERRAND_ABI) {
        err_set(err, ERR_CONFIG, "it was built for ABI %u, this errand has %d", abi, ERRAND_ABI);
        return NULL;
    }
    const struct errand_module *module = module_widen(arena, symbol, err);
    if (!module)
        return NULL;
    if (module->name && module->version && (!module->kind_count || module->kinds) &&
        (!module->setting_count || module->settings) &&
        (!module->statement_count || module->statements))
        return module;
    err_set(err, ERR_CONFIG, "module %s has no name, no version, or a count without a table", name);
    return NULL;
}

const struct errand_module *plugin_open(const char *path, const char *name, struct arena *arena,
                                        struct err *err)
{
    char symbol[PLUGIN_NAME_MAX + sizeof "_module"];
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        err_set(err, ERR_CONFIG, "it cannot be opened: %s", dlerror());
        return NULL;
    }
    snprintf(symbol, sizeof symbol, "%s_module", name);
    const void *found = dlsym(handle, symbol);
    const struct errand_module *module = found ? plugin_module(found, name, arena, err) : NULL;
    if (!found)
        err_set(err, ERR_CONFIG, "it exports no symbol %s (errand/errand.h says which)", symbol);
    if (!module)
        dlclose(handle);
    return module;
}
