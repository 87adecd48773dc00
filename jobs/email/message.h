/* From a row of scheduled_messages to the bytes of one Resend request item. Pure, and
 * deterministic: the same row, settings and templates give the same bytes.
 *
 * Shapes of content, the first that fits:
 *   {"html": "...", "text": "..."}            one or both, sent as they are
 *   {"template": "name", "data": {...}}       data may be missing
 *   {"data": {...}}                           the template named like message_type, if there is one
 *   {"any": "thing"} or NULL                  the same; content itself is the data
 * All but the last may also hold subject, from, reply_to, cc, bcc, headers, tags and attachments;
 * in the last every key is the template's. Other keys are ignored, but named when no body is found.
 *
 * Order of keys: from, to, subject, html, text, reply_to, cc, bcc, headers, tags, attachments;
 * those without a value are left out. */
#ifndef EMAIL_MESSAGE_H
#define EMAIL_MESSAGE_H

#include "address.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    MESSAGE_MAX_BATCH = 100,
    MESSAGE_BODY_BYTES = 2097152 /* a default for max_body_bytes */
};

/* A part that is NULL is not made. */
struct message_template {
    const char *name;
    const char *subject, *html, *text;
};

struct message_settings {
    const char *from;      /* NULL: each message must have its own */
    const char *reply_to;  /* NULL: none */
    const json_t *headers; /* defaults in content's shape, whose own win by name; NULL: none */
    const json_t *tags;    /* likewise */
    const struct message_template *templates;
    size_t template_count;
    size_t max_body_bytes; /* html and text together */
};

/* Column values of the row, NULL for SQL's NULL. Everything is borrowed. */
struct message_row {
    const char *id;
    const char *message_type;
    const char *subject;   /* literal; goes before any other subject */
    const char *recipient; /* recipient_email: one address */
    const json_t *content;
    const json_t *suppressed; /* array of bare addresses to leave out of cc and bcc, or NULL */
};

struct message {
    char *bytes; /* one JSON object, NUL-terminated */
    size_t length;
    bool has_attachments;
    char recipient[ADDRESS_BARE_BYTES + 1]; /* bare, for the suppression list */
    char subject[EMAIL_LINE_BYTES + 1];
    json_t *copied; /* array: the bare addresses in cc and bcc, likewise */
};

/* Builds the item. Always adds the tag message_id = row->id, by which a provider's event finds its
 * message. On failure error says what is wrong with the row in words fit for failure_reason, and
 * message holds nothing. */
bool message_build(struct message *message, const struct message_row *row,
                   const struct message_settings *settings, struct email_error *error);
void message_clear(struct message *message);

/* Such a message cannot travel in a batch. */
bool message_has_attachments(const struct message *message);

struct message_bytes {
    const char *bytes;
    size_t length;
};

/* The body of POST /emails/batch: the items (1 to MESSAGE_MAX_BATCH) in a bare array, byte for
 * byte. NUL-terminated, the caller's to free; NULL only without memory. (The body of POST /emails
 * is an item's bytes.) */
char *message_join(const struct message_bytes *items, size_t count, size_t *length);

#endif
