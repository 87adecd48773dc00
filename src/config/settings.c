#include "config/settings.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/conninfo.h"
#include "config/credential.h"
#include "config/setting_value.h"
#include "config/settings_core.h"
#include "config/settings_file.h"

#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char settings_default_file[] = "/etc/errand/errand.conf";
enum { SETTINGS_NAMES_MAX = 256 };

struct settings_slot {
    const struct settings_section *section;
    const struct errand_setting *setting;
    char *value;  /* NULL: unset */
    char *origin; /* NULL: default */
    char *flag;   /* given before the load; NULL: none */
    char *flag_name;
};

struct settings {
    struct settings_section *sections;
    size_t section_count, borrowed_count; /* the names of those behind these are ours */
    struct settings_slot *slots;
    size_t slot_count;
    char **tolerated;
    size_t tolerated_count;
    bool only_core; /* while settings_load_core reads */
    char *file;
    struct buf shown;
};

/* ---- Life ---- */

static const struct settings_section *settings_section(const struct settings *settings,
                                                       const char *name);

static void settings_add_section(struct settings *settings, const struct settings_section *section)
{
    settings->sections[settings->section_count] = *section;
    const struct settings_section *kept = &settings->sections[settings->section_count++];
    for (size_t i = 0; i < kept->count; i++)
        settings->slots[settings->slot_count++] =
            (struct settings_slot){.section = kept, .setting = &kept->table[i]};
}

void settings_extend(struct settings *settings, const struct settings_section *section)
{
    struct settings_section *old = settings->sections;
    struct settings_section *sections =
        mem_zalloc((settings->section_count + 1) * sizeof *sections);
    memcpy(sections, old, settings->section_count * sizeof *sections);
    for (size_t i = 0; i < settings->slot_count; i++)
        settings->slots[i].section = sections + (settings->slots[i].section - old);
    settings->sections = sections;
    settings->slots = mem_resize(settings->slots, (settings->slot_count + section->count + 1) *
                                                      sizeof *settings->slots);
    settings_add_section(settings, &(struct settings_section){mem_strdup(section->name),
                                                              section->table, section->count});
    free(old);
}

void settings_tolerate(struct settings *settings, const char *section)
{
    if (settings_section(settings, section))
        return;
    settings->tolerated = mem_resize(settings->tolerated,
                                     (settings->tolerated_count + 1) * sizeof *settings->tolerated);
    settings->tolerated[settings->tolerated_count++] = mem_strdup(section);
}

struct settings *settings_new(const struct settings_section *modules, size_t count)
{
    struct settings *settings = mem_zalloc(sizeof *settings);
    size_t slots = settings_core.count;
    for (size_t i = 0; i < count; i++)
        slots += modules[i].count;
    settings->sections = mem_zalloc((count + 1) * sizeof *settings->sections);
    settings->slots = mem_zalloc(slots * sizeof *settings->slots);
    settings_add_section(settings, &settings_core);
    for (size_t i = 0; i < count; i++)
        settings_add_section(settings, &modules[i]);
    settings->borrowed_count = settings->section_count;
    buf_init(&settings->shown, 0);
    return settings;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->slot_count; i++) {
        free(settings->slots[i].value);
        free(settings->slots[i].origin);
        free(settings->slots[i].flag);
        free(settings->slots[i].flag_name);
    }
    for (size_t i = 0; i < settings->tolerated_count; i++)
        free(settings->tolerated[i]);
    for (size_t i = settings->borrowed_count; i < settings->section_count; i++)
        free((void *)(uintptr_t)settings->sections[i].name);
    free(settings->tolerated);
    buf_clear(&settings->shown);
    free(settings->slots);
    free(settings->sections);
    free(settings->file);
    free(settings);
}

/* ---- Finding ---- */

static struct settings_slot *settings_find(const struct settings *settings, const char *section,
                                           const char *key)
{
    for (size_t i = 0; i < settings->slot_count; i++) {
        struct settings_slot *slot = &settings->slots[i];
        if (strcmp(slot->section->name, section) == 0 && strcmp(slot->setting->name, key) == 0)
            return slot;
    }
    return NULL;
}

static const struct settings_section *settings_section(const struct settings *settings,
                                                       const char *name)
{
    for (size_t i = 0; i < settings->section_count; i++)
        if (strcmp(settings->sections[i].name, name) == 0)
            return &settings->sections[i];
    return NULL;
}

static const char *settings_nearest_section(const struct settings *settings, const char *name)
{
    const char *names[SETTINGS_NAMES_MAX];
    size_t count = 0;
    while (count < settings->section_count && count < SETTINGS_NAMES_MAX) {
        names[count] = settings->sections[count].name;
        count++;
    }
    return str_nearest(name, names, count);
}

static const char *settings_nearest_key(const struct settings_section *section, const char *key)
{
    const char *names[SETTINGS_NAMES_MAX];
    size_t count = 0;
    while (count < section->count && count < SETTINGS_NAMES_MAX) {
        names[count] = section->table[count].name;
        count++;
    }
    return str_nearest(key, names, count);
}

static bool settings_is_tolerated(const struct settings *settings, const char *section)
{
    for (size_t i = 0; i < settings->tolerated_count; i++)
        if (strcmp(settings->tolerated[i], section) == 0)
            return true;
    return false;
}

/* The slot of a name that a person wrote; an unknown one is his fault, and the nearest may be what
 * he meant. */
static struct settings_slot *settings_named(const struct settings *settings, const char *where,
                                            const char *section, const char *key, struct err *err)
{
    const struct settings_section *known = settings_section(settings, section);
    struct settings_slot *slot = settings_find(settings, section, key);
    if (slot)
        return slot;
    const char *near =
        known ? settings_nearest_key(known, key) : settings_nearest_section(settings, section);
    const char *open = near ? "; did you mean '" : "; docs/configuration.md lists them";
    if (known)
        err_set(err, ERR_CONFIG, "%s: section [%s] has no setting '%.80s'%s%s%s", where, section,
                key, open, near ? near : "", near ? "'?" : "");
    else
        err_set(err, ERR_CONFIG, "%s: there is no section [%.80s]%s%s%s%s", where, section, open,
                near ? near : "", near ? "'?" : "",
                strncmp(section, "webhook.", 8) == 0
                    ? " (errand.webhook_sources names those of [webhook.NAME])"
                    : "");
    return NULL;
}

/* ---- Taking a value ---- */

static bool settings_is_core_slot(const struct settings_slot *slot)
{
    return strcmp(slot->section->name, settings_core.name) == 0;
}

static bool settings_check(const struct settings_slot *slot, const char *where, const char *value,
                           struct err *err)
{
    const char *section = slot->section->name, *key = slot->setting->name, *allowed = NULL;
    if (!setting_value_check(slot->setting, section, where, value, err))
        return false;
    if (settings_is_core_slot(slot) && *value && !settings_core_accepts(key, value, &allowed))
        return err_set(err, ERR_CONFIG, "%s: %s.%s is '%.80s'; allowed: %s", where, section, key,
                       value, allowed);
    return true;
}

static bool settings_is_url(const struct settings_slot *slot)
{
    return settings_is_core_slot(slot) && strcmp(slot->setting->name, "database_url") == 0;
}

static bool settings_take(struct settings_slot *slot, const char *where, const char *value,
                          struct err *err)
{
    if (slot->setting->type == ERRAND_SETTING_SECRET)
        log_secret(value);
    if (settings_is_url(slot))
        conninfo_register(value);
    if (!settings_check(slot, where, value, err))
        return false;
    free(slot->value);
    free(slot->origin);
    slot->value = *value ? mem_strdup(value) : NULL;
    slot->origin = mem_strdup(where);
    return true;
}

/* ---- Sources, the lowest first ---- */

static void settings_take_default(struct settings_slot *slot)
{
    free(slot->value);
    free(slot->origin);
    slot->value = slot->setting->initial ? mem_strdup(slot->setting->initial) : NULL;
    slot->origin = NULL;
}

static bool settings_on_pair(void *context, const char *where, const char *section, const char *key,
                             const char *value, struct err *err)
{
    const struct settings *settings = context;
    bool is_core = strcmp(section, settings_core.name) == 0;
    if ((settings->only_core && !is_core) || settings_is_tolerated(settings, section))
        return true;
    struct settings_slot *slot = settings_named(settings, where, section, key, err);
    return slot && settings_take(slot, where, value, err);
}

static bool settings_load_file(struct settings *settings, const char *file, struct err *err)
{
    const char *path = file;
    if (!path || !*path)
        path = getenv("ERRAND_CONFIG");
    if (!path || !*path) {
        path = settings_default_file;
        if (access(path, F_OK) != 0)
            return true;
    }
    free(settings->file);
    settings->file = mem_strdup(path);
    return settings_file_read(path, settings_on_pair, settings, err);
}

static bool settings_load_credential(struct settings_slot *slot, struct err *err)
{
    const char *section = slot->section->name, *key = slot->setting->name;
    char where[256], *text;
    enum credential_result result = credential_read(section, key, &text, err);
    if (result != CREDENTIAL_READ)
        return result == CREDENTIAL_NONE;
    snprintf(where, sizeof where, "credential %s.%s", section, key);
    bool ok = !*text || settings_take(slot, where, text, err);
    credential_free(text);
    return ok;
}

static void settings_variable(const struct settings_slot *slot, char *name, size_t size)
{
    if (settings_is_core_slot(slot))
        snprintf(name, size, "ERRAND_%s", slot->setting->name);
    else
        snprintf(name, size, "ERRAND_%s_%s", slot->section->name, slot->setting->name);
    for (; *name; name++)
        *name = *name == '.' ? '_' : (char)toupper((unsigned char)*name);
}

static bool settings_load_environment(struct settings_slot *slot, struct err *err)
{
    char name[160], where[192];
    settings_variable(slot, name, sizeof name);
    const char *source = name;
    const char *value = getenv(name);
    if ((!value || !*value) && slot->setting->environment) {
        source = slot->setting->environment;
        value = getenv(source);
    }
    if (!value || !*value)
        return true;
    snprintf(where, sizeof where, "environment %s", source);
    return settings_take(slot, where, value, err);
}

static bool settings_load_flag(struct settings_slot *slot, struct err *err)
{
    return !slot->flag || settings_take(slot, slot->flag_name, slot->flag, err);
}

static bool settings_read(struct settings *settings, const char *file, struct err *err)
{
    for (size_t i = 0; i < settings->slot_count; i++)
        settings_take_default(&settings->slots[i]);
    if (!settings_load_file(settings, file, err))
        return false;
    for (size_t i = 0; i < settings->slot_count; i++) {
        struct settings_slot *slot = &settings->slots[i];
        if (settings->only_core && !settings_is_core_slot(slot))
            continue;
        if (!settings_load_credential(slot, err) || !settings_load_environment(slot, err) ||
            !settings_load_flag(slot, err))
            return false;
    }
    return true;
}

bool settings_load_core(struct settings *settings, const char *file, struct err *err)
{
    settings->only_core = true;
    bool ok = settings_read(settings, file, err);
    settings->only_core = false;
    return ok;
}

bool settings_load(struct settings *settings, const char *file, struct err *err)
{
    if (!settings_read(settings, file, err))
        return false;
    if (getenv("PGPASSWORD"))
        log_secret(getenv("PGPASSWORD"));
    return true;
}

/* ---- Flags ---- */

static void settings_keep_flag(struct settings_slot *slot, const char *name, const char *value)
{
    free(slot->flag);
    free(slot->flag_name);
    slot->flag = mem_strdup(value);
    slot->flag_name = mem_strdup(name);
}

/* Behind the section, whose name may have a dot in it. NULL: there is no section and key. */
static const char *assignment_dot(const char *assignment)
{
    const char *dot = NULL, *end = assignment + strcspn(assignment, "=");
    for (const char *at = assignment; at < end; at++)
        dot = *at == '.' ? at : dot;
    return *end ? dot : NULL;
}

bool settings_flag(struct settings *settings, const char *assignment, struct err *err)
{
    const char *equals = strchr(assignment, '=');
    const char *dot = assignment_dot(assignment);
    if (!dot)
        return err_set(err, ERR_CONFIG, "flag --set: it takes section.key=value");
    char *section = mem_strndup(assignment, (size_t)(dot - assignment));
    char *key = mem_strndup(dot + 1, (size_t)(equals - dot - 1));
    bool tolerated = settings_is_tolerated(settings, section);
    struct settings_slot *slot =
        tolerated ? NULL : settings_named(settings, "flag --set", section, key, err);
    if (slot)
        settings_keep_flag(slot, "flag --set", equals + 1);
    free(section);
    free(key);
    return tolerated || slot;
}

bool settings_knows(const struct settings *settings, const char *assignment)
{
    const char *dot = assignment_dot(assignment);
    char *section = mem_strndup(assignment, dot ? (size_t)(dot - assignment) : 0);
    bool known = settings_section(settings, section) != NULL;
    free(section);
    return known;
}

bool settings_flag_core(struct settings *settings, const char *key, const char *value,
                        struct err *err)
{
    char name[96];
    struct settings_slot *slot = settings_named(settings, "flag", settings_core.name, key, err);
    if (!slot)
        return false;
    snprintf(name, sizeof name, "flag --%s", key);
    for (char *at = name; *at; at++)
        if (*at == '_')
            *at = '-';
    settings_keep_flag(slot, name, value);
    return true;
}

bool settings_is_core(const char *key)
{
    for (size_t i = 0; i < settings_core.count; i++)
        if (strcmp(settings_core.table[i].name, key) == 0)
            return true;
    return false;
}

const char *settings_nearest_core(const char *key)
{
    return settings_nearest_key(&settings_core, key);
}

/* ---- Getters ---- */

static const struct settings_slot *settings_get(const struct settings *settings,
                                                const char *section, const char *key)
{
    const struct settings_slot *slot = settings_find(settings, section, key);
    assert(slot && "a setting that is in no table");
    return slot;
}

const char *settings_text(const struct settings *settings, const char *section, const char *key)
{
    return settings_get(settings, section, key)->value;
}

long long settings_integer(const struct settings *settings, const char *section, const char *key)
{
    const struct settings_slot *slot = settings_get(settings, section, key);
    long long number = 0;
    assert(slot->setting->type == ERRAND_SETTING_INTEGER);
    bool is_number = slot->value && setting_value_integer(slot->value, &number);
    assert(is_number || !slot->value);
    return is_number ? number : 0;
}

bool settings_boolean(const struct settings *settings, const char *section, const char *key)
{
    const struct settings_slot *slot = settings_get(settings, section, key);
    bool truth = false;
    assert(slot->setting->type == ERRAND_SETTING_BOOLEAN);
    return slot->value && setting_value_boolean(slot->value, &truth) && truth;
}

const char *settings_origin(const struct settings *settings, const char *section, const char *key)
{
    const struct settings_slot *slot = settings_get(settings, section, key);
    return slot->origin ? slot->origin : "default";
}

const char *settings_file(const struct settings *settings)
{
    return settings->file;
}

size_t settings_count(const struct settings *settings)
{
    return settings->slot_count;
}

static const char *settings_shown(struct settings *settings, const struct settings_slot *slot)
{
    if (!slot->value)
        return NULL;
    if (slot->setting->type == ERRAND_SETTING_SECRET)
        return "***";
    buf_reset(&settings->shown);
    if (settings_is_url(slot))
        conninfo_mask(&settings->shown, slot->value);
    else
        buf_add_text(&settings->shown, slot->value);
    return buf_text(&settings->shown);
}

struct settings_view settings_at(struct settings *settings, size_t index)
{
    assert(index < settings->slot_count);
    const struct settings_slot *slot = &settings->slots[index];
    return (struct settings_view){slot->section->name, slot->setting,
                                  settings_shown(settings, slot),
                                  slot->origin ? slot->origin : "default"};
}
