#include "web/event.h"

#include "base/str.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- As bytes ---- */

/* A field: its length (four bytes, the lowest first), its bytes, a NUL. */
static void pack_field(struct buf *bytes, const void *data, size_t length)
{
    char size[4];
    for (size_t i = 0; i < sizeof size; i++)
        size[i] = (char)(length >> (8 * i) & 0xff);
    buf_add(bytes, size, sizeof size);
    buf_add(bytes, data, length);
    buf_add_char(bytes, '\0');
}

static void pack_text(struct buf *bytes, const char *text)
{
    pack_field(bytes, text, strlen(text));
}

void event_pack(const struct event *event, struct buf *bytes)
{
    const struct source *source = event->source;
    char received[24];
    pack_text(bytes, source->name);
    pack_text(bytes, source->kind);
    pack_text(bytes, source->queue ? source->queue : "");
    pack_text(bytes, event->id);
    pack_text(bytes, event->type);
    snprintf(received, sizeof received, "%" PRId64, event->received_us);
    pack_text(bytes, received);
    pack_field(bytes, buf_text(&event->headers), event->headers.length);
    pack_field(bytes, event->body, event->length);
}

struct unpacking {
    const char *at;
    size_t left;
};

/* NULL: there is no whole field any more. */
static const char *unpack_field(struct unpacking *from, size_t *length)
{
    size_t bytes = 0;
    if (from->left < 4)
        return NULL;
    for (int i = 4; i-- > 0;)
        bytes = bytes << 8 | (unsigned char)from->at[i];
    if (bytes >= from->left - 4 || from->at[4 + bytes])
        return NULL;
    const char *data = from->at + 4;
    from->at += 4 + bytes + 1;
    from->left -= 4 + bytes + 1;
    *length = bytes;
    return data;
}

static bool unpack_into(struct unpacking *from, char *text, size_t size)
{
    size_t length;
    const char *data = unpack_field(from, &length);
    if (!data || length >= size)
        return false;
    memcpy(text, data, length + 1);
    return true;
}

bool event_unpack(struct event *event, struct source *source, const char *bytes, size_t length)
{
    struct unpacking from = {bytes, length};
    size_t ignored, headers_length;
    char received[24];
    *source = (struct source){0};
    source->name = unpack_field(&from, &ignored);
    source->kind = unpack_field(&from, &ignored);
    source->queue = unpack_field(&from, &ignored);
    if (!source->queue || !unpack_into(&from, event->id, sizeof event->id) ||
        !unpack_into(&from, event->type, sizeof event->type) ||
        !unpack_into(&from, received, sizeof received))
        return false;
    event->received_us = strtoll(received, NULL, 10);
    if (!*source->queue)
        source->queue = NULL;
    event->source = source;
    const char *headers = unpack_field(&from, &headers_length);
    event->body = headers ? unpack_field(&from, &event->length) : NULL;
    if (!event->body || from.left)
        return false;
    buf_add(&event->headers, headers, headers_length);
    return true;
}
