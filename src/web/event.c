#include "web/event.h"

#include "base/str.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void event_set_id(struct event *event, const char *id)
{
    if (id)
        snprintf(event->id, sizeof event->id, "%s", id);
    else
        signature_body_id(event->body, event->length, event->id);
}

/* ---- Type ---- */

static const json_t *json_at(const json_t *value, const char *path)
{
    char name[64];
    while (value && *path) {
        size_t length = strcspn(path, ".");
        if (length >= sizeof name)
            return NULL;
        memcpy(name, path, length);
        name[length] = '\0';
        value = json_object_get(value, name);
        path += length + (path[length] == '.');
    }
    return value;
}

void event_set_type(struct event *event)
{
    event->type[0] = '\0';
    json_t *whole = json_loadb(event->body, event->length,
                               JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *type = json_at(whole, event->source->type);
    size_t length = json_string_length(type);
    if (length > 0 && length <= EVENT_TYPE_BYTES_MAX && strlen(json_string_value(type)) == length)
        memcpy(event->type, json_string_value(type), length + 1);
    json_decref(whole);
}

/* ---- Headers ---- */

static bool header_is_of_interest(const char *name)
{
    static const char *const names[] = {"content-type",   "user-agent", "svix-id",
                                        "svix-timestamp", "webhook-id", "webhook-timestamp",
                                        "x-event-name"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return false;
}

void event_open_headers(struct event *event)
{
    buf_reset(&event->headers);
    buf_add_char(&event->headers, '{');
}

void event_add_header(struct event *event, const char *name, const char *value)
{
    struct buf *headers = &event->headers;
    size_t length = strnlen(value, EVENT_HEADER_BYTES_MAX);
    if (!header_is_of_interest(name))
        return;
    buf_add_text(headers, headers->length > 1 ? ", \"" : "\"");
    for (; *name; name++)
        buf_add_char(headers, (char)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name));
    buf_add_text(headers, "\": \"");
    str_escape(headers, value, length);
    buf_add_char(headers, '"');
}

void event_close_headers(struct event *event)
{
    buf_add_char(&event->headers, '}');
}
