#include "message.h"

#include "template.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static bool is_present(const json_t *value)
{
    return value && !json_is_null(value);
}

static const json_t *envelope_get(const struct builder *builder, const char *key)
{
    const json_t *value = json_object_get(builder->envelope, key);
    return is_present(value) ? value : NULL;
}

/* A string's text; NULL when value is no string or holds a NUL character. */
static const char *string_get(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
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
    const char *from = value ? string_get(value) : builder->settings->from;
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
    if (!is_present(builder->row->content))
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
    const char *text = string_get(name);
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
    if (is_present(content) && !json_is_object(content))
        return email_error_set(builder->error, "content is no JSON object");
    builder->envelope = is_present(content) ? content : NULL;
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
    if ((!subject || !*subject) && value && !(subject = string_get(value)))
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
    if (value && !string_get(value))
        return email_error_set(builder->error, "%s is no text, or holds a NUL character", part);
    return !value || body_set(builder, part, string_get(value), left);
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

/* ---- headers ---- */

static void headers_set(json_t *headers, const char *name, const char *value)
{
    const char *present;
    json_t *old;
    void *next;
    json_object_foreach_safe(headers, next, present, old)
    {
        if (strcasecmp(present, name) == 0)
            json_object_del(headers, present);
    }
    json_object_set_new(headers, name, json_string(value));
}

static bool headers_add(json_t *headers, const json_t *from, struct email_error *error)
{
    const char *name;
    json_t *value;
    if (is_present(from) && !json_is_object(from))
        return email_error_set(error, "headers is no object of names and values");
    if (json_object_size(from) > MESSAGE_MAX_HEADERS)
        return email_error_set(error, "more than %d headers", MESSAGE_MAX_HEADERS);
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        const char *text = string_get(value);
        if (!email_header_check(name, text, error))
            return false;
        headers_set(headers, name, text);
    }
    return true;
}

static bool build_headers(struct builder *builder)
{
    json_t *headers = json_object();
    if (!headers_add(headers, builder->settings->headers, builder->error) ||
        !headers_add(headers, envelope_get(builder, "headers"), builder->error)) {
        json_decref(headers);
        return false;
    }
    return request_set(builder, "headers", headers);
}

/* ---- tags ---- */

static bool is_tag_text(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= MESSAGE_TAG_BYTES &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
               length;
}

/* tags is an object while it is made, so that a later value of the same name wins. */
static bool tags_add_one(json_t *tags, const char *name, const json_t *value,
                         struct email_error *error)
{
    char digits[32];
    const char *text = string_get(value);
    if (json_is_integer(value)) {
        snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = digits;
    }
    if (!name || !is_tag_text(name))
        return email_error_set(error, "tag '%.60s': a name is 1 to 256 of A-Z a-z 0-9 _ -",
                               name ? name : "");
    if (!text || !is_tag_text(text))
        return email_error_set(error, "tag '%.60s': its value is not 1 to 256 of A-Z a-z 0-9 _ -",
                               name);
    if (strcmp(name, "message_id") == 0)
        return email_error_set(error, "tag 'message_id' is set by the job itself");
    json_object_set_new(tags, name, json_string(text));
    return true;
}

static bool tags_add(json_t *tags, const json_t *from, struct email_error *error)
{
    const char *name;
    json_t *value;
    if (is_present(from) && !json_is_object(from) && !json_is_array(from))
        return email_error_set(error, "tags is neither an object nor an array");
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        if (!tags_add_one(tags, name, value, error))
            return false;
    }
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *tag = json_array_get(from, i);
        if (!tags_add_one(tags, string_get(json_object_get(tag, "name")),
                          json_object_get(tag, "value"), error))
            return false;
    }
    return json_object_size(tags) < MESSAGE_MAX_TAGS ||
           email_error_set(error, "more than %d tags", MESSAGE_MAX_TAGS - 1);
}

static json_t *tags_list(const char *id, json_t *tags)
{
    json_t *list = json_pack("[{s:s,s:s}]", "name", "message_id", "value", id), *value;
    const char *name;
    json_object_foreach(tags, name, value)
    {
        json_array_append_new(list, json_pack("{s:s,s:O}", "name", name, "value", value));
    }
    return list;
}

static bool build_tags(struct builder *builder)
{
    const char *id = builder->row->id ? builder->row->id : "";
    json_t *tags = json_object();
    bool ok = tags_add(tags, builder->settings->tags, builder->error) &&
              tags_add(tags, envelope_get(builder, "tags"), builder->error);
    if (ok && !is_tag_text(id))
        ok = email_error_set(builder->error, "id '%.60s' cannot be a tag's value", id);
    ok = ok && request_set(builder, "tags", tags_list(id, tags));
    json_decref(tags);
    return ok;
}

/* ---- attachments ---- */

/* Base64 without the line ends that PostgreSQL's encode() and base64(1) put in; NULL when it is
 * none. */
static json_t *base64_clean(const char *text)
{
    size_t length = 0, padding = 0;
    char *clean = malloc(strlen(text) + 1);
    bool ok = clean != NULL;
    for (; ok && *text; text++) {
        bool digit = (*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z') ||
                     (*text >= '0' && *text <= '9') || *text == '+' || *text == '/';
        if (strchr(" \t\r\n", *text))
            continue;
        ok = digit ? padding == 0 : *text == '=' && ++padding <= 2;
        clean[length++] = *text;
    }
    ok = ok && length > 0 && length % 4 == 0;
    json_t *value = ok ? json_stringn(clean, length) : NULL;
    free(clean);
    return value;
}

static bool attachment_set_content(json_t *made, size_t number, const char *content, size_t *left,
                                   struct email_error *error)
{
    json_t *clean = base64_clean(content);
    size_t length = json_string_length(clean);
    json_object_set_new(made, "content", clean);
    if (!clean)
        return email_error_set(error, "attachment %zu: its content is no base64", number);
    if (length > *left)
        return email_error_set(error, "attachments are more than %d bytes",
                               MESSAGE_ATTACHMENT_BYTES);
    *left -= length;
    return true;
}

static bool attachment_set_line(json_t *made, size_t number, const char *key, const char *text,
                                struct email_error *error)
{
    if (!*text || strlen(text) > EMAIL_LINE_BYTES || !email_line_check(text))
        return email_error_set(error, "attachment %zu: %s is not one line of text", number, key);
    if (strcmp(key, "path") == 0 && strncasecmp(text, "https://", 8) != 0)
        return email_error_set(error, "attachment %zu: path is no https:// address", number);
    json_object_set_new(made, key, json_string(text));
    return true;
}

/* Keys in a fixed order, and none that the provider would overlook in silence. */
static bool attachment_make(json_t *made, size_t number, const json_t *from, size_t *left,
                            struct email_error *error)
{
    static const char *const keys[] = {"filename", "content", "path", "content_type", "content_id"};
    size_t known = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(from, keys[i]);
        const char *text = string_get(value);
        known += value != NULL;
        if (!is_present(value))
            continue;
        if (!text)
            return email_error_set(error, "attachment %zu: %s is no text", number, keys[i]);
        if (i == 1 ? !attachment_set_content(made, number, text, left, error)
                   : !attachment_set_line(made, number, keys[i], text, error))
            return false;
    }
    if (known < json_object_size(from))
        return email_error_set(error,
                               "attachment %zu has a key that is none of filename, content, "
                               "path, content_type, content_id",
                               number);
    if (!json_object_get(made, "content") == !json_object_get(made, "path"))
        return email_error_set(error, "attachment %zu needs either content or path", number);
    return json_object_get(made, "path") || json_object_get(made, "filename") ||
           email_error_set(error, "attachment %zu has no filename", number);
}

static bool attachments_fill(json_t *list, const json_t *from, struct email_error *error)
{
    size_t left = MESSAGE_ATTACHMENT_BYTES;
    if (!json_is_array(from))
        return email_error_set(error, "attachments is no array");
    if (json_array_size(from) > MESSAGE_MAX_ATTACHMENTS)
        return email_error_set(error, "more than %d attachments", MESSAGE_MAX_ATTACHMENTS);
    for (size_t i = 0; i < json_array_size(from); i++) {
        json_t *made = json_object();
        json_array_append_new(list, made);
        if (!json_is_object(json_array_get(from, i)))
            return email_error_set(error, "attachment %zu is no object", i + 1);
        if (!attachment_make(made, i + 1, json_array_get(from, i), &left, error))
            return false;
    }
    return true;
}

static bool build_attachments(struct builder *builder)
{
    const json_t *value = envelope_get(builder, "attachments");
    json_t *list = json_array();
    if (value && !attachments_fill(list, value, builder->error)) {
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
