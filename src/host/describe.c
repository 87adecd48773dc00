/* What a plug-in says of itself, as JSON. isolate/description.c reads it: a new member of the ABI's
 * structs goes through both. */
#include "host/host.h"

#include <stdlib.h>

_Static_assert(sizeof(void *) != 8 ||
                   (sizeof(struct errand_kind) == 88 &&
                    offsetof(struct errand_kind, cancel_grace_ms) == 84 &&
                    offsetof(struct errand_retry, jitter_percent) == 44 &&
                    sizeof(struct errand_retry) == 48 && sizeof(struct errand_module) == 88 &&
                    sizeof(struct errand_setting) == 56 && sizeof(struct errand_statement) == 16),
               "a struct of the ABI has grown: describe its new members, here and in "
               "isolate/description.c");

/* json_pack's NULL for a text that is not UTF-8 makes the whole NULL. */
static json_t *text_of(const char *text)
{
    return text ? json_string(text) : json_null();
}

static bool add(json_t *list, json_t *item)
{
    return item && json_array_append_new(list, item) == 0;
}

static json_t *describe_retry(const struct errand_retry *retry)
{
    json_t *delays = json_array();
    for (size_t i = 0; i < retry->delay_count; i++)
        json_array_append_new(delays, json_integer(retry->delays_ms[i]));
    return json_pack("{s:o, s:i, s:o, s:i, s:i}", "class", text_of(retry->error_class), "policy",
                     (int)retry->policy, "delays", delays, "attempts", retry->max_attempts,
                     "jitter", retry->jitter_percent);
}

static json_t *describe_kind(const struct errand_kind *kind)
{
    json_t *retries = json_array();
    for (size_t i = 0; i < kind->retry_count; i++)
        if (!add(retries, describe_retry(&kind->retries[i])))
            return NULL;
    return json_pack("{s:o, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:b, s:o}", "name",
                     text_of(kind->name), "queue", text_of(kind->queue), "claim", (int)kind->claim,
                     "attempts", kind->max_attempts, "timeout_ms", kind->timeout_ms, "lanes",
                     kind->queue_lanes, "batch_max", kind->batch_max, "grace_ms",
                     kind->cancel_grace_ms, "run", kind->run != NULL, "run_batch",
                     kind->run_batch != NULL, "no_token", kind->takes_no_token, "retries", retries);
}

static json_t *describe_setting(const struct errand_setting *setting)
{
    return json_pack("{s:o, s:i, s:o, s:o, s:I, s:I, s:o}", "name", text_of(setting->name), "type",
                     (int)setting->type, "initial", text_of(setting->initial), "environment",
                     text_of(setting->environment), "min", (json_int_t)setting->min, "max",
                     (json_int_t)setting->max, "help", text_of(setting->help));
}

static json_t *describe_statement(const struct errand_statement *statement)
{
    return json_pack("{s:o, s:o}", "name", text_of(statement->name), "text",
                     text_of(statement->text));
}

static json_t *describe_module(const struct errand_module *module)
{
    json_t *kinds = json_array(), *settings = json_array(), *statements = json_array();
    bool ok = true;
    for (size_t i = 0; i < module->kind_count; i++)
        ok &= add(kinds, describe_kind(&module->kinds[i]));
    for (size_t i = 0; i < module->setting_count; i++)
        ok &= add(settings, describe_setting(&module->settings[i]));
    for (size_t i = 0; i < module->statement_count; i++)
        ok &= add(statements, describe_statement(&module->statements[i]));
    if (!ok)
        return NULL;
    return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o}", "name", text_of(module->name), "version",
                     text_of(module->version), "start", module->start != NULL, "kinds", kinds,
                     "settings", settings, "statements", statements);
}

void host_describe(void)
{
    json_t *description = describe_module(host.module);
    char *text = description ? json_dumps(description, JSON_COMPACT) : NULL;
    if (!text) {
        host_refuse("it describes itself in what is not UTF-8");
        return;
    }
    host_begin(WIRE_DESCRIPTION);
    frame_text(&host.out, text);
    host_send();
}
