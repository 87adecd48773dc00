#include "message.h"

#include "attachment.h"
#include "header.h"
#include "tag.h"
#include "template.h"
#include "value.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One build: what is read, and the request being made. */
struct builder {
    const struct message_row *row;
    const struct message_settings *settings;
    const json_t *envelope; /* content where its keys are ours, else NULL */
    const struct message_template *template;
    const json_t *data; /* the template's */
    struct message *message;
    json_t *request;
    struct email_error *error;
};

static const json_t *envelope_get(const struct builder *builder, const char *key)
{
    const json_t *value = json_object_get(builder->envelope, key);
    return value_is_present(value) ? value : NULL;
}

static bool request_set_text(struct builder *builder, const char *key, const char *text)
{
    return json_object_set_new(builder->request, key, json_string(text)) == 0 ||
           email_error_set(builder->error, "%s is not valid UTF-8", key);
}

/* Takes over value. Empty arrays and objects are left out. */
static bool request_set(struct builder *builder, const char *key, json_t *value)
{
    if (value && json_array_size(value) + json_object_size(value) == 0) {
        json_decref(value);
        return true;
    }
    return json_object_set_new(builder->request, key, value) == 0 ||
           email_error_set(builder->error, "out of memory");
}

/* ---- addresses ---- */

/* cc and bcc are mailed to, so the suppression list holds for them. */
static bool build_list(struct builder *builder, const char *role, bool mailed_to)
{
    const json_t *value = envelope_get(builder, role);
    const json_t *leave_out = mailed_to ? builder->row->suppressed : NULL;
    json_t *bare = mailed_to ? builder->message->copied : NULL;
    json_t *list = json_array();
    if (value && !address_list_read(list, bare, value, leave_out, role, builder->error)) {
        json_decref(list);
        return false;
    }
    return request_set(builder, role, list);
}

static bool build_from(struct builder *builder)
{
    const json_t *value = envelope_get(builder, "from");
    const char *from = value ? value_text(value) : builder->settings->from;
    struct address address;
    if (value && !from)
        return email_error_set(builder->error, "from is no text");
    if (!from)
        return email_error_set(builder->error,
                               "no sender: neither the content nor the settings have 'from'");
    return address_parse(&address, from, "from", builder->error) &&
           request_set_text(builder, "from", address.text);
}

static bool build_to(struct builder *builder)
{
    struct address address;
    if (!address_parse(&address, builder->row->recipient, "recipient", builder->error))
        return false;
    memcpy(builder->message->recipient, address.bare, sizeof address.bare);
    if (envelope_get(builder, "to"))
        return email_error_set(builder->error, "content has 'to': the recipient is the row's "
                                               "recipient_email; use cc or bcc for others");
    return request_set(builder, "to", json_pack("[s]", address.text));
}

static bool build_reply_to(struct builder *builder)
{
    struct address address;
    if (envelope_get(builder, "reply_to") || !builder->settings->reply_to)
        return build_list(builder, "reply_to", false);
    return address_parse(&address, builder->settings->reply_to, "reply_to", builder->error) &&
           request_set(builder, "reply_to", json_pack("[s]", address.text));
}

/* ---- which body ---- */

static const struct message_template *template_find(const struct builder *builder, const char *name)
{
    const struct message_settings *settings = builder->settings;
    for (size_t i = 0; name && i < settings->template_count; i++)
        if (strcmp(settings->templates[i].name, name) == 0)
            return &settings->templates[i];
    return NULL;
}

static bool is_envelope_key(const char *key)
{
    static const char *const keys[] = {"html", "text",     "data",        "subject",
                                       "from", "reply_to", "cc",          "bcc",
                                       "tags", "headers",  "attachments", "template"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

/* Names the first few keys that mean nothing to us: one of them may be a mistyped html. (The cast:
 * jansson's iterators take no const and change nothing.) */
static void content_describe(const json_t *content, char *out, size_t size)
{
    const char *key;
    json_t *value;
    size_t used = 0, shown = 0;
    out[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)content, key, value)
    {
        if (!is_envelope_key(key) && shown++ < 5)
            used += (size_t)snprintf(out + used, size - used, "%s'%.20s'",
                                     used ? ", " : "; it has ", key);
    }
}

static bool body_missing(const struct builder *builder)
{
    const char *type = builder->row->message_type;
    char keys[200];
    if (!value_is_present(builder->row->content))
        return email_error_set(builder->error,
                               "no body: there is no content, and no template named '%.60s'",
                               type ? type : "");
    content_describe(builder->row->content, keys, sizeof keys);
    return email_error_set(builder->error,
                           "no body: content has neither html, text nor template, and there is no "
                           "template named '%.60s'%s",
                           type ? type : "", keys);
}

static bool choose_named_template(struct builder *builder, const json_t *name)
{
    const json_t *data = envelope_get(builder, "data");
    const char *text = value_text(name);
    if (!text)
        return email_error_set(builder->error, "template is no text: it names a template");
    if (envelope_get(builder, "html") || envelope_get(builder, "text"))
        return email_error_set(builder->error,
                               "content has a template and html or text: one of them");
    if (data && !json_is_object(data))
        return email_error_set(builder->error, "data is no object");
    builder->template = template_find(builder, text);
    builder->data = data;
    return builder->template ||
           email_error_set(builder->error, "there is no template named '%.60s'", text);
}

static bool choose_type_template(struct builder *builder)
{
    const json_t *data = json_object_get(builder->row->content, "data");
    builder->template = template_find(builder, builder->row->message_type);
    if (!builder->template)
        return body_missing(builder);
    if (!json_is_object(data))
        builder->envelope = NULL;
    builder->data = json_is_object(data) ? data : builder->row->content;
    return true;
}

static bool choose_body(struct builder *builder)
{
    const json_t *content = builder->row->content, *name;
    if (value_is_present(content) && !json_is_object(content))
        return email_error_set(builder->error, "content is no JSON object");
    builder->envelope = value_is_present(content) ? content : NULL;
    if ((name = envelope_get(builder, "template")))
        return choose_named_template(builder, name);
    if (envelope_get(builder, "html") || envelope_get(builder, "text"))
        return true;
    return choose_type_template(builder);
}

/* ---- subject and body ---- */

/* NULL, with the error set, when the template or its data will not do. The caller frees. */
static char *part_render(const struct builder *builder, const char *part, const char *text,
                         enum template_escape escape, size_t max_bytes)
{
    struct template_error error;
    char *out;
    if (!template_render(text, strlen(text), builder->data, escape, max_bytes, &out, &error))
        email_error_set(builder->error, "template '%.60s', %s: %s", builder->template->name, part,
                        error.text);
    return out;
}

static bool subject_set(struct builder *builder, const char *subject)
{
    size_t length = strlen(subject);
    if (length > EMAIL_LINE_BYTES)
        return email_error_set(builder->error, "subject is longer than %d bytes", EMAIL_LINE_BYTES);
    if (!email_line_check(subject))
        return email_error_set(builder->error,
                               "subject is not one line of text without control characters");
    memcpy(builder->message->subject, subject, length + 1);
    return request_set_text(builder, "subject", subject);
}

/* A template's subject often comes out of a file, with a line end. */
static bool subject_render(struct builder *builder)
{
    char *subject = part_render(builder, "subject", builder->template->subject, TEMPLATE_PLAIN,
                                2 * EMAIL_LINE_BYTES);
    size_t length = subject ? strlen(subject) : 0;
    bool ok;
    if (!subject)
        return false;
    while (length > 0 && strchr(" \t\r\n", subject[length - 1]))
        subject[--length] = '\0';
    ok = length ? subject_set(builder, subject)
                : email_error_set(builder->error, "template '%.60s', subject: it comes out empty",
                                  builder->template->name);
    free(subject);
    return ok;
}

static bool build_subject(struct builder *builder)
{
    const json_t *value = envelope_get(builder, "subject");
    const char *subject = builder->row->subject;
    if ((!subject || !*subject) && value && !(subject = value_text(value)))
        return email_error_set(builder->error, "subject is no text");
    if (subject && *subject)
        return subject_set(builder, subject);
    if (builder->template && builder->template->subject)
        return subject_render(builder);
    return email_error_set(builder->error,
                           "no subject: neither the row, its content nor a template "
                           "has one");
}

static bool body_set(struct builder *builder, const char *part, const char *text, size_t *left)
{
    size_t length = strlen(text);
    if (length > *left)
        return email_error_set(builder->error, "html and text are more than %zu bytes",
                               builder->settings->max_body_bytes);
    *left -= length;
    return length == 0 || request_set_text(builder, part, text);
}

static bool build_rendered(struct builder *builder, const char *part, const char *text,
                           size_t *left)
{
    bool is_html = strcmp(part, "html") == 0, ok;
    char *out;
    if (!text)
        return true;
    out = part_render(builder, part, text, is_html ? TEMPLATE_HTML : TEMPLATE_PLAIN, *left);
    ok = out && body_set(builder, part, out, left);
    free(out);
    return ok;
}

static bool build_literal(struct builder *builder, const char *part, size_t *left)
{
    const json_t *value = envelope_get(builder, part);
    if (value && !value_text(value))
        return email_error_set(builder->error, "%s is no text, or holds a NUL character", part);
    return !value || body_set(builder, part, value_text(value), left);
}

static bool build_body(struct builder *builder)
{
    const struct message_template *template = builder->template;
    size_t left = builder->settings->max_body_bytes;
    bool ok = template
                  ? build_rendered(builder, "html", template->html, &left) &&
                        build_rendered(builder, "text", template->text, &left)
                  : build_literal(builder, "html", &left) && build_literal(builder, "text", &left);
    if (!ok || left < builder->settings->max_body_bytes)
        return ok;
    if (template)
        return email_error_set(builder->error, "no body: template '%.60s' comes out empty",
                               template->name);
    return email_error_set(builder->error, "no body: the content's html and text are empty");
}

/* ---- headers, tags, attachments ---- */

static bool build_headers(struct builder *builder)
{
    json_t *headers = json_object();
    if (!header_list_add(headers, builder->settings->headers, builder->error) ||
        !header_list_add(headers, envelope_get(builder, "headers"), builder->error)) {
        json_decref(headers);
        return false;
    }
    return request_set(builder, "headers", headers);
}

static bool build_tags(struct builder *builder)
{
    const char *id = builder->row->id ? builder->row->id : "";
    json_t *tags = json_object();
    bool ok = tag_list_add(tags, builder->settings->tags, builder->error) &&
              tag_list_add(tags, envelope_get(builder, "tags"), builder->error);
    if (ok && !tag_check(id))
        ok = email_error_set(builder->error, "id '%.60s' cannot be a tag's value", id);
    ok = ok && request_set(builder, "tags", tag_list_array(id, tags));
    json_decref(tags);
    return ok;
}

static bool build_attachments(struct builder *builder)
{
    const json_t *value = envelope_get(builder, "attachments");
    json_t *list = json_array();
    if (value && !attachment_list_add(list, value, builder->error)) {
        json_decref(list);
        return false;
    }
    builder->message->has_attachments = json_array_size(list) > 0;
    return request_set(builder, "attachments", list);
}

/* ---- the whole ---- */

/* The order of the calls is the order of the keys. */
static bool builder_run(struct builder *builder)
{
    return choose_body(builder) && build_from(builder) && build_to(builder) &&
           build_subject(builder) && build_body(builder) && build_reply_to(builder) &&
           build_list(builder, "cc", true) && build_list(builder, "bcc", true) &&
           build_headers(builder) && build_tags(builder) && build_attachments(builder);
}

bool message_build(struct message *message, const struct message_row *row,
                   const struct message_settings *settings, struct email_error *error)
{
    struct builder builder = {.row = row, .settings = settings, .message = message, .error = error};
    *message = (struct message){.copied = json_array()};
    builder.request = json_object();
    if (builder_run(&builder)) {
        message->bytes = json_dumps(builder.request, JSON_COMPACT);
        if (message->bytes)
            message->length = strlen(message->bytes);
        else
            email_error_set(error, "out of memory");
    }
    json_decref(builder.request);
    if (!message->bytes)
        message_clear(message);
    return message->bytes != NULL;
}

void message_clear(struct message *message)
{
    free(message->bytes);
    json_decref(message->copied);
    *message = (struct message){0};
}

bool message_has_attachments(const struct message *message)
{
    return message->has_attachments;
}

char *message_join(const struct message_bytes *items, size_t count, size_t *length)
{
    size_t at = 0;
    char *out;
    assert(count > 0 && count <= MESSAGE_MAX_BATCH);
    *length = count + 1;
    for (size_t i = 0; i < count; i++)
        *length += items[i].length;
    if (!(out = malloc(*length + 1)))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        out[at++] = i ? ',' : '[';
        memcpy(out + at, items[i].bytes, items[i].length);
        at += items[i].length;
    }
    out[at++] = ']';
    out[at] = '\0';
    return out;
}
