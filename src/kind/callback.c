#include "kind/callback.h"

#include "kind/endpoint.h"
#include "kind/file.h"
#include "module/json_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 1000 };

void callback_signal(int round, char name[CALLBACK_SIGNAL_BYTES])
{
    snprintf(name, CALLBACK_SIGNAL_BYTES, "callback.%d", round);
}

/* ---- The path ---- */

/* One for each key, with blanks between; in base64's form for urls. */
static void add_macs(struct buf *macs, const struct signature_keys *keys, const char *kind,
                     int64_t job_id, int round)
{
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "%s %d", kind, round);
    signature_sign(keys, "callback", job_id, buf_text(&text), text.length, macs);
    buf_clear(&text);
    for (char *at = macs->data; at && *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
}

/* Of a value "v1,MAC= v1,MAC=": the first MAC, without what base64 fills up with. */
static const char *mac_of(const char *value, size_t *length)
{
    const char *mac = strchr(value, ',');
    mac = mac ? mac + 1 : value;
    *length = strcspn(mac, "= ");
    return mac;
}

void callback_add_path(struct buf *path, const struct signature_keys *keys, const char *kind,
                       int64_t job_id, int round)
{
    struct buf macs;
    size_t length;
    buf_init(&macs, 0);
    add_macs(&macs, keys, kind, job_id, round);
    const char *mac = mac_of(buf_text(&macs), &length);
    buf_printf(path, "%s/%" PRId64 ".%d.%.*s", kind, job_id, round, (int)length, mac);
    buf_clear(&macs);
}

/* In a time that does not tell how much of it is right. */
static bool macs_hold(const char *macs, const char *given)
{
    bool found = false;
    for (const char *at = macs; *at; at += strcspn(at, " "), at += *at == ' ') {
        size_t length;
        const char *mac = mac_of(at, &length);
        bool same_length = strlen(given) == length;
        int differs = !same_length;
        for (size_t i = 0; same_length && i < length; i++)
            differs |= mac[i] ^ given[i];
        found |= differs == 0;
    }
    return found;
}

static bool read_number(const char **at, char end, int64_t most, int64_t *value)
{
    char *behind;
    errno = 0;
    *value = strtoll(*at, &behind, 10);
    if (**at < '1' || **at > '9' || *behind != end || errno || *value > most)
        return false;
    *at = behind + 1;
    return true;
}

static bool callback_find_kind(struct callback *callback, const struct registry *registry,
                               const char *path, size_t length, const char **name)
{
    char text[64];
    if (length >= sizeof text)
        return false;
    memcpy(text, path, length);
    text[length] = '\0';
    const struct kind *kind = registry_find(registry, text);
    if (!kind || kind->errand->run != kind_type_http.run)
        return false;
    const struct kind_file *file = kind->life->owner;
    callback->keys = &file->endpoint->keys;
    *name = kind->name;
    return file->endpoint->callback_timeout_ms > 0;
}

bool callback_find(struct callback *callback, const struct registry *registry, const char *path)
{
    const char *slash = strchr(path, '/'), *kind, *at = slash ? slash + 1 : "";
    int64_t round = 0;
    struct buf macs;
    if (!slash || !callback_find_kind(callback, registry, path, (size_t)(slash - path), &kind) ||
        !read_number(&at, '.', INT64_MAX, &callback->job_id) ||
        !read_number(&at, '.', ROUNDS_MAX, &round))
        return false;
    callback->round = (int)round;
    buf_init(&macs, 0);
    add_macs(&macs, callback->keys, kind, callback->job_id, callback->round);
    bool right = macs_hold(buf_text(&macs), at);
    buf_clear(&macs);
    return right;
}

/* ---- The body ---- */

static const char *value_fault(const json_t *value)
{
    const char *status = json_string_value(json_object_get(value, "status"));
    const json_t *error = json_object_get(value, "error");
    if (!status || (strcmp(status, "done") != 0 && strcmp(status, "failed") != 0 &&
                    strcmp(status, "retry") != 0))
        return "status is not done, failed or retry";
    return error && !json_is_string(error) && !json_is_null(error) ? "error is no text" : NULL;
}

const char *callback_fault(const char *body)
{
    const char *fault = json_text_fault(body, ERRAND_SIGNAL_PAYLOAD_MAX);
    if (fault)
        return fault;
    json_t *value = json_loads(body, JSON_DECODE_ANY, NULL);
    fault = value_fault(value);
    json_decref(value);
    return fault;
}
