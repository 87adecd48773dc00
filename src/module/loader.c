#include "module/loader.h"

#include "base/log.h"
#include "base/mem.h"
#include "config/setting_value.h"
#include "module/plugin.h"
#include "module/trust.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char loader_suffix[] = ".so";

/* ---- Life ---- */

static void loader_add_module(struct loader *loader, const struct errand_module *module)
{
    loader->modules =
        mem_resize(loader->modules, (loader->module_count + 2) * sizeof *loader->modules);
    loader->modules[loader->module_count++] = module;
    loader->modules[loader->module_count] = NULL;
}

struct loader *loader_new(const struct errand_module *const *linked)
{
    struct loader *loader = mem_zalloc(sizeof *loader);
    struct err err = {0};
    loader->linked = linked;
    loader->modules = mem_zalloc(sizeof *loader->modules);
    registry_init(&loader->registry);
    for (const struct errand_module *const *at = linked; *at; at++)
        loader_add_module(loader, *at);
    /* Only to know which kinds are taken: what is wrong with a linked one, the runner says. */
    registry_add(&loader->registry, linked, &err);
    return loader;
}

void loader_free(struct loader *loader)
{
    if (!loader)
        return;
    for (size_t i = 0; i < loader->file_count; i++) {
        free(loader->files[i].path);
        free(loader->files[i].name);
        free(loader->files[i].reason);
    }
    registry_clear(&loader->registry);
    free(loader->files);
    free(loader->modules);
    free(loader);
}

/* ---- What it says of itself ---- */

/* It is a part of a symbol, and a section of the configuration. */
static bool loader_name_is_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    size_t length = strlen(name);
    return length > 0 && length <= PLUGIN_NAME_MAX && strspn(name, allowed) == length &&
           name[0] >= 'a' && name[0] <= 'z' && strcmp(name, "errand") != 0;
}

static bool loader_check_names(const struct loader *loader, const char *name,
                               const struct errand_module *module, struct err *err)
{
    if (!module->name || strcmp(module->name, name) != 0)
        return err_set(err, ERR_CONFIG, "its module calls itself '%s', the file is %s%s",
                       module->name ? module->name : "", name, loader_suffix);
    for (size_t i = 0; i < loader->module_count; i++)
        if (strcmp(loader->modules[i]->name, name) == 0)
            return err_set(err, ERR_CONFIG, "there is a module %s in errand already", name);
    return true;
}

/* Its default is held to what operators are held to. */
static bool loader_check_settings(const struct errand_module *module, struct err *err)
{
    char where[300];
    snprintf(where, sizeof where, "module %.100s: the default of a setting", module->name);
    for (size_t i = 0; i < module->setting_count; i++) {
        const struct errand_setting *setting = &module->settings[i];
        if (!setting->name || !setting->help || (unsigned)setting->type > ERRAND_SETTING_SECRET)
            return err_set(err, ERR_CONFIG,
                           "module %s: setting %zu has no name, no help, or a type that this "
                           "errand does not know",
                           module->name, i);
        if (setting->initial &&
            !setting_value_check(setting, module->name, where, setting->initial, err))
            return false;
        for (size_t j = 0; j < i; j++)
            if (strcmp(module->settings[j].name, setting->name) == 0)
                return err_set(err, ERR_CONFIG, "module %s: there are two settings %.60s",
                               module->name, setting->name);
    }
    return true;
}

static bool loader_open(struct loader *loader, struct loader_file *file,
                        const struct loader_asker *asker, struct err *err)
{
    if (!loader_name_is_valid(file->name))
        return err_set(err, ERR_CONFIG,
                       "'%.80s' is no name for a module: at most %d of a-z 0-9 _, "
                       "the first a letter, not 'errand'",
                       file->name, PLUGIN_NAME_MAX);
    if (!trust_file(file->path, err))
        return false;
    const struct errand_module *module =
        asker->describe(file->path, file->name, &loader->registry.arena, err);
    if (!module || !loader_check_names(loader, file->name, module, err) ||
        !loader_check_settings(module, err) ||
        !registry_add(&loader->registry, (const struct errand_module *const[]){module, NULL}, err))
        return false;
    file->module = module;
    loader_add_module(loader, module);
    return true;
}

/* ---- The directory ---- */

static struct loader_file *loader_add_file(struct loader *loader, const char *directory,
                                           const char *base)
{
    char path[4096];
    size_t length = base ? strlen(base) - strlen(loader_suffix) : 0;
    loader->files = mem_resize(loader->files, (loader->file_count + 1) * sizeof *loader->files);
    struct loader_file *file = &loader->files[loader->file_count++];
    snprintf(path, sizeof path, "%s%s%s", directory, base ? "/" : "", base ? base : "");
    *file = (struct loader_file){.path = mem_strdup(path),
                                 .name = base ? mem_strndup(base, length) : NULL};
    return file;
}

static int loader_is_plugin(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(loader_suffix);
    return entry->d_name[0] != '.' && length > suffix &&
           strcmp(entry->d_name + length - suffix, loader_suffix) == 0;
}

static void loader_refuse(struct loader_file *file, const struct err *err)
{
    file->reason = mem_strdup(err->text);
}

void loader_load(struct loader *loader, const char *directory, const struct loader_asker *asker)
{
    struct err err = {0};
    struct dirent **entries = NULL;
    int count = 0;
    if (trust_directory(directory, &err)) {
        count = scandir(directory, &entries, loader_is_plugin, alphasort);
        if (count < 0)
            err_set(&err, ERR_CONFIG, "the directory cannot be read: %s", strerror(errno));
    }
    if (err.code != ERR_NONE)
        loader_refuse(loader_add_file(loader, directory, NULL), &err);
    for (int i = 0; i < count; i++) {
        struct loader_file *file = loader_add_file(loader, directory, entries[i]->d_name);
        err_clear(&err);
        if (!loader_open(loader, file, asker, &err))
            loader_refuse(file, &err);
        free(entries[i]);
    }
    free(entries);
}

void loader_log(const struct loader *loader)
{
    for (size_t i = 0; i < loader->file_count; i++) {
        const struct loader_file *file = &loader->files[i];
        if (!file->name) /* the directory: who looks for kinds there says so */
            continue;
        if (file->module)
            log_event(LOG_INFO, "plug-in loaded", "file", file->path, "version",
                      file->module->version, NULL);
        else
            log_event(LOG_ERROR, "plug-in refused", "file", file->path, "reason", file->reason,
                      NULL);
    }
}
