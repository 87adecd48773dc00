#include "cli/sample.h"

#include "base/mem.h"
#include "base/random.h"
#include "cli/when.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- What $now and $uuid stand for ---- */

static json_t *moment(int64_t at_us)
{
    char text[64];
    struct tm tm;
    time_t at_s = (time_t)(at_us / 1000000);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&at_s, &tm));
    snprintf(text + length, sizeof text - length, ".%06dZ", (int)(at_us % 1000000));
    return json_string(text);
}

static json_t *uuid(void)
{
    static const char digits[] = "0123456789abcdef";
    char text[] = "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx";
    for (char *at = text; *at; at++)
        if (*at == 'x')
            *at = digits[random_below(16)];
    return json_string(text);
}

/* NULL: text stands for itself. */
static json_t *expand(const char *text, int64_t now_us)
{
    long long ms = 0;
    if (strcmp(text, "$uuid") == 0)
        return uuid();
    if (strncmp(text, "$now", 4) != 0 || (text[4] && !when_parse_distance(text + 4, &ms)))
        return NULL;
    return moment(now_us + ms * 1000);
}

static void expand_all(json_t *value, int64_t now_us)
{
    const char *name;
    json_t *child, *made;
    void *next;
    size_t i;
    json_object_foreach_safe(value, next, name, child)
    {
        if (json_is_string(child) && (made = expand(json_string_value(child), now_us)))
            json_object_set_new(value, name, made);
        else
            expand_all(child, now_us);
    }
    json_array_foreach(value, i, child)
    {
        expand_all(child, now_us);
    }
}

/* ---- Changes ---- */

/* The child of that name; NULL: there is none. *index: of an array. */
static json_t *child_get(json_t *parent, const char *name, size_t *index)
{
    char *end = NULL;
    if (!json_is_array(parent))
        return json_object_get(parent, name);
    unsigned long long number = strtoull(name, &end, 10);
    *index = *end || !*name || number > json_array_size(parent) ? SIZE_MAX : (size_t)number;
    return json_array_get(parent, *index);
}

/* False: there is no such place. Takes value over. */
static bool child_set(json_t *parent, const char *name, size_t index, json_t *value)
{
    if (json_is_object(parent))
        return json_object_set_new(parent, name, value) == 0;
    if (json_is_array(parent) && index == json_array_size(parent))
        return json_array_append_new(parent, value) == 0;
    if (json_is_array(parent))
        return json_array_set_new(parent, index, value) == 0;
    json_decref(value);
    return false;
}

static json_t *value_read(const char *text, const json_t *before, int64_t now_us)
{
    json_t *value = expand(text, now_us);
    if (!value && !json_is_string(before))
        value = json_loads(text, JSON_DECODE_ANY, NULL);
    return value ? value : json_string(text);
}

/* path is cut up. */
static bool change_at(json_t *at, char *path, const char *text, int64_t now_us)
{
    char *rest = NULL;
    for (char *name = strtok_r(path, ".", &rest), *next; name; name = next) {
        size_t index = 0;
        json_t *child = child_get(at, name, &index);
        next = strtok_r(NULL, ".", &rest);
        if (!next) {
            json_t *value = value_read(text, child, now_us);
            return value && child_set(at, name, index, value);
        }
        if (!child || json_is_null(child)) {
            if (!child_set(at, name, index, json_object()))
                return false;
            child = child_get(at, name, &index);
        }
        at = child;
    }
    return false;
}

static bool change(json_t *body, const char *text, int64_t now_us, struct err *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return err_set(err, ERR_CONFIG, "'%.80s' is not PATH=VALUE", text);
    char *path = mem_strndup(text, (size_t)(equals - text));
    bool ok = change_at(body, path, equals + 1, now_us);
    free(path);
    return ok ||
           err_set(err, ERR_CONFIG,
                   "'%.80s': there is no such place in the event, or the value is not UTF-8", text);
}

static bool change_each(json_t *body, const char *changes, int64_t now_us)
{
    struct err err;
    char *text = mem_strdup(changes), *rest = NULL;
    bool ok = true;
    for (char *one = strtok_r(text, " ", &rest); ok && one; one = strtok_r(NULL, " ", &rest))
        ok = change(body, one, now_us, &err);
    free(text);
    return ok;
}

static json_t *template_read(const char *template)
{
    char *text = mem_strdup(template);
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *body = json_loads(text, 0, NULL);
    free(text);
    return body;
}

json_t *sample_make(const struct sample *sample, int64_t now_us, const char *const *changes,
                    size_t count, struct err *err)
{
    json_t *body = template_read(sample->body);
    assert(body);
    json_t *meta = json_object_get(body, "meta");
    json_object_set_new(meta ? meta : body, meta ? "event_name" : "type",
                        json_string(sample->type));
    expand_all(body, now_us);
    bool ok = change_each(body, sample->changes, now_us);
    assert(ok);
    for (size_t i = 0; ok && i < count; i++)
        ok = change(body, changes[i], now_us, err);
    if (!ok) {
        json_decref(body);
        return NULL;
    }
    return body;
}
