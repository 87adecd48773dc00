#include "isolate/description.h"

#include <limits.h>
#include <string.h>

enum { LIST_MAX = 10000 };

/* What an operator may set of every such plug-in, in its section. */
static const struct errand_setting own_settings[] = {
    {"isolation", ERRAND_SETTING_TEXT, "process", NULL, 0, 0,
     "process: each attempt runs in a process of its own; none: inside errand, which trusts it"},
    {"isolation_memory_bytes", ERRAND_SETTING_INTEGER, "1073741824", NULL, 0, INT64_C(1) << 46,
     "address space of such a process, bytes; 0: no limit"},
    {"isolation_cpu_seconds", ERRAND_SETTING_INTEGER, "0", NULL, 0, 86400,
     "processor time of such a process, seconds; 0: no limit"},
};

enum { OWN_COUNT = sizeof own_settings / sizeof *own_settings };

struct reading {
    struct arena *arena;
    bool failed;
};

/* ---- Members: of the right type, or the description is none ---- */

static int64_t read_int(struct reading *reading, const json_t *from, const char *name, int64_t min,
                        int64_t max)
{
    const json_t *member = json_object_get(from, name);
    int64_t value = json_integer_value(member);
    if (json_is_integer(member) && value >= min && value <= max)
        return value;
    reading->failed = true;
    return 0;
}

static bool read_bool(struct reading *reading, const json_t *from, const char *name)
{
    const json_t *member = json_object_get(from, name);
    if (!json_is_boolean(member))
        reading->failed = true;
    return json_is_true(member);
}

static const char *read_text(struct reading *reading, const json_t *from, const char *name)
{
    const json_t *member = json_object_get(from, name);
    if (!json_is_string(member) && !json_is_null(member))
        reading->failed = true;
    return json_is_string(member) ? arena_strdup(reading->arena, json_string_value(member)) : NULL;
}

static const json_t *read_list(struct reading *reading, const json_t *from, const char *name,
                               size_t *count)
{
    const json_t *member = json_object_get(from, name);
    *count = json_array_size(member);
    if (!json_is_array(member) || *count > LIST_MAX) {
        reading->failed = true;
        *count = 0;
    }
    return member;
}

/* ---- Parts ---- */

static void read_retry(struct reading *reading, const json_t *from, struct errand_retry *retry)
{
    size_t count;
    const json_t *list = read_list(reading, from, "delays", &count);
    int64_t *delays = arena_zalloc(reading->arena, (count + 1) * sizeof *delays);
    for (size_t i = 0; i < count; i++)
        delays[i] = json_integer_value(json_array_get(list, i));
    *retry = (struct errand_retry){
        .size = sizeof *retry,
        .error_class = read_text(reading, from, "class"),
        .policy = (enum errand_retry_policy)read_int(reading, from, "policy", 0, INT_MAX),
        .delays_ms = delays,
        .delay_count = count,
        .max_attempts = (int)read_int(reading, from, "attempts", INT_MIN, INT_MAX),
        .jitter_percent = (int)read_int(reading, from, "jitter", INT_MIN, INT_MAX),
    };
}

static void no_run(struct errand_job *job)
{
    (void)job;
}

static void no_run_batch(struct errand_job *const *jobs, size_t count)
{
    (void)jobs, (void)count;
}

static void read_kind(struct reading *reading, const json_t *from, struct errand_kind *kind)
{
    size_t count;
    const json_t *list = read_list(reading, from, "retries", &count);
    struct errand_retry *retries = arena_zalloc(reading->arena, (count + 1) * sizeof *retries);
    for (size_t i = 0; i < count; i++)
        read_retry(reading, json_array_get(list, i), &retries[i]);
    *kind = (struct errand_kind){
        .size = sizeof *kind,
        .name = read_text(reading, from, "name"),
        .queue = read_text(reading, from, "queue"),
        .claim = (enum errand_claim)read_int(reading, from, "claim", 0, ERRAND_CLAIM_FIRST),
        .max_attempts = (int)read_int(reading, from, "attempts", INT_MIN, INT_MAX),
        .timeout_ms = (int)read_int(reading, from, "timeout_ms", INT_MIN, INT_MAX),
        .queue_lanes = (int)read_int(reading, from, "lanes", INT_MIN, INT_MAX),
        .batch_max = (int)read_int(reading, from, "batch_max", INT_MIN, INT_MAX),
        .cancel_grace_ms = (int)read_int(reading, from, "grace_ms", INT_MIN, INT_MAX),
        .run = read_bool(reading, from, "run") ? no_run : NULL,
        .run_batch = read_bool(reading, from, "run_batch") ? no_run_batch : NULL,
        .retries = retries,
        .retry_count = count,
        .takes_no_token = read_bool(reading, from, "no_token"),
    };
}

static void read_setting(struct reading *reading, const json_t *from,
                         struct errand_setting *setting)
{
    *setting = (struct errand_setting){
        .name = read_text(reading, from, "name"),
        .type = (enum errand_setting_type)read_int(reading, from, "type", 0, INT_MAX),
        .initial = read_text(reading, from, "initial"),
        .environment = read_text(reading, from, "environment"),
        .min = read_int(reading, from, "min", INT64_MIN, INT64_MAX),
        .max = read_int(reading, from, "max", INT64_MIN, INT64_MAX),
        .help = read_text(reading, from, "help"),
    };
}

static void read_kinds(struct reading *reading, const json_t *from, struct errand_module *module)
{
    size_t count;
    const json_t *list = read_list(reading, from, "kinds", &count);
    struct errand_kind *kinds = arena_zalloc(reading->arena, (count + 1) * sizeof *kinds);
    for (size_t i = 0; i < count; i++)
        read_kind(reading, json_array_get(list, i), &kinds[i]);
    module->kinds = kinds;
    module->kind_count = count;
}

static void read_settings(struct reading *reading, const json_t *from, struct errand_module *module)
{
    size_t count;
    const json_t *list = read_list(reading, from, "settings", &count);
    struct errand_setting *settings =
        arena_zalloc(reading->arena, (count + OWN_COUNT) * sizeof *settings);
    for (size_t i = 0; i < count; i++)
        read_setting(reading, json_array_get(list, i), &settings[i]);
    memcpy(settings + count, own_settings, sizeof own_settings);
    module->settings = settings;
    module->setting_count = count + OWN_COUNT;
}

static void read_statements(struct reading *reading, const json_t *from,
                            struct errand_module *module)
{
    size_t count;
    const json_t *list = read_list(reading, from, "statements", &count);
    struct errand_statement *statements =
        arena_zalloc(reading->arena, (count + 1) * sizeof *statements);
    for (size_t i = 0; i < count; i++) {
        const json_t *statement = json_array_get(list, i);
        statements[i] = (struct errand_statement){read_text(reading, statement, "name"),
                                                  read_text(reading, statement, "text")};
        reading->failed |= !statements[i].name || !statements[i].text;
    }
    module->statements = statements;
    module->statement_count = count;
}

/* ---- The whole ---- */

static bool start_mark(struct errand_host *host)
{
    (void)host;
    return true;
}

static bool description_check_own(const struct errand_module *module, struct err *err)
{
    for (size_t i = 0; i < module->setting_count - OWN_COUNT; i++)
        for (size_t j = 0; j < OWN_COUNT; j++)
            if (module->settings[i].name &&
                strcmp(module->settings[i].name, own_settings[j].name) == 0)
                return err_set(err, ERR_CONFIG, "its setting %s is errand's own name",
                               own_settings[j].name);
    return true;
}

bool description_read(const char *text, struct arena *arena, struct errand_module *module,
                      struct err *err)
{
    struct reading reading = {.arena = arena};
    json_error_t error;
    json_t *from = json_loads(text, 0, &error);
    *module = (struct errand_module){
        .abi = ERRAND_ABI,
        .size = sizeof *module,
        .name = read_text(&reading, from, "name"),
        .version = read_text(&reading, from, "version"),
        .start = read_bool(&reading, from, "start") ? start_mark : NULL,
    };
    read_kinds(&reading, from, module);
    read_settings(&reading, from, module);
    read_statements(&reading, from, module);
    json_decref(from);
    if (reading.failed || !module->name || !module->version)
        return err_set(err, ERR_CONFIG, "its description of itself cannot be read");
    return description_check_own(module, err);
}
