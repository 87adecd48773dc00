#include "queue/kind_setting.h"

#include "base/log.h"
#include "queue/dispatch.h"
#include "queue/lease.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <stdlib.h>
#include <string.h>

enum { KIND_SETTINGS_TIMEOUT_MS = 5000 };

/* Columns of kind_settings. */
enum {
    SETTING_KIND,
    SETTING_PAUSED_UNTIL,
    SETTING_CONCURRENCY,
    SETTING_KEEP,
    SETTING_CLASS,
    SETTING_POLICY,
    SETTING_DELAYS,
    SETTING_MAX_ATTEMPTS
};

static void kind_settings_reset(struct kind_settings *settings, const struct registry *registry)
{
    settings->kinds = NULL;
    settings->count = 0;
    kind_settings_grow(settings, registry);
}

void kind_settings_grow(struct kind_settings *settings, const struct registry *registry)
{
    struct kind_setting *kinds =
        arena_zalloc(&settings->arena, registry->count * sizeof *settings->kinds);
    if (settings->count)
        memcpy(kinds, settings->kinds, settings->count * sizeof *kinds);
    for (size_t i = settings->count; i < registry->count; i++)
        kinds[i].paused_until_us = INT64_MIN;
    settings->kinds = kinds;
    settings->count = registry->count;
}

void kind_settings_init(struct kind_settings *settings, const struct registry *registry)
{
    *settings = (struct kind_settings){0};
    arena_init(&settings->arena);
    kind_settings_reset(settings, registry);
}

void kind_settings_clear(struct kind_settings *settings)
{
    arena_clear(&settings->arena);
}

const struct kind_setting *kind_settings_of(const struct kind_settings *settings,
                                            const struct kind *kind)
{
    return &settings->kinds[kind->number];
}

void kind_settings_add(struct db_unit *unit, const struct runner *runner)
{
    const char *params[] = {runner->kinds};
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_KIND_SETTINGS], 1, params);
}

static enum errand_retry_policy policy_of(const char *name)
{
    return strcmp(name, "fixed") == 0   ? ERRAND_RETRY_FIXED
           : strcmp(name, "list") == 0  ? ERRAND_RETRY_LIST
           : strcmp(name, "never") == 0 ? ERRAND_RETRY_NEVER
                                        : ERRAND_RETRY_EXPONENTIAL;
}

static void setting_add_retry(struct kind_setting *setting, struct arena *arena,
                              const PGresult *rows, int row)
{
    const char *delays = PQgetvalue(rows, row, SETTING_DELAYS);
    int64_t *list = arena_alloc(arena, (strlen(delays) / 2 + 1) * sizeof *list);
    struct errand_retry *retries = arena_alloc(arena, (setting->retry_count + 1) * sizeof *retries);
    if (setting->retry_count)
        memcpy(retries, setting->retries, setting->retry_count * sizeof *retries);
    struct errand_retry *line = &retries[setting->retry_count++];
    *line = (struct errand_retry){.size = sizeof *line,
                                  .error_class =
                                      arena_strdup(arena, PQgetvalue(rows, row, SETTING_CLASS)),
                                  .policy = policy_of(PQgetvalue(rows, row, SETTING_POLICY)),
                                  .delays_ms = list,
                                  .max_attempts = (int)db_get_int(rows, row, SETTING_MAX_ATTEMPTS)};
    for (char *end; *delays; delays = end + (*end == ' ')) {
        list[line->delay_count] = strtoll(delays, &end, 10);
        if (end == delays)
            break;
        line->delay_count++;
    }
    setting->retries = retries;
}

static void setting_take(struct kind_setting *setting, const PGresult *rows, int row)
{
    const char *keep = PQgetvalue(rows, row, SETTING_KEEP);
    if (!PQgetisnull(rows, row, SETTING_PAUSED_UNTIL))
        setting->paused_until_us = db_get_time_us(rows, row, SETTING_PAUSED_UNTIL);
    setting->concurrency = (int)db_get_int(rows, row, SETTING_CONCURRENCY);
    setting->keep = strcmp(keep, "none") == 0     ? KIND_KEEP_NONE
                    : strcmp(keep, "errors") == 0 ? KIND_KEEP_ERRORS
                                                  : KIND_KEEP_ALL;
}

void kind_settings_take(struct runner *runner, const PGresult *rows)
{
    struct kind_settings *settings = &runner->kind_settings;
    arena_clear(&settings->arena);
    arena_init(&settings->arena);
    kind_settings_reset(settings, &runner->registry);
    for (int row = 0; row < PQntuples(rows); row++) {
        const struct kind *kind =
            registry_find(&runner->registry, PQgetvalue(rows, row, SETTING_KIND));
        if (kind && PQgetisnull(rows, row, SETTING_POLICY))
            setting_take(&settings->kinds[kind->number], rows, row);
        else if (kind)
            setting_add_retry(&settings->kinds[kind->number], &settings->arena, rows, row);
    }
    limit_configure_kinds(runner);
    dispatch_schedule(runner);
}

/* A load of kind_settings: the marker that asked for it. */
struct settings_load {
    struct runner *runner;
    int64_t marker;
};

static void on_loaded(struct db_unit *unit, void *owner)
{
    struct settings_load *load = owner;
    load->runner->kind_settings.loading = false;
    if (unit->err.code != ERR_NONE) { /* the next beat asks again */
        log_event(LOG_WARN, "reading the settings of kinds failed", "error", unit->err.text, NULL);
        return;
    }
    load->runner->kind_settings.marker = load->marker;
    kind_settings_take(load->runner, db_unit_result(unit, 0));
    lease_settings_read(load->runner);
}

void kind_settings_check(struct runner *runner, int64_t marker)
{
    struct kind_settings *settings = &runner->kind_settings;
    if (marker == settings->marker || settings->loading)
        return;
    settings->loading = true;
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_loaded, NULL);
    struct settings_load *load = arena_alloc(&unit->arena, sizeof *load);
    *load = (struct settings_load){.runner = runner, .marker = marker};
    unit->owner = load;
    kind_settings_add(unit, runner);
    db_pool_submit(&runner->control, unit, KIND_SETTINGS_TIMEOUT_MS);
}
