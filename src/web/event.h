/* An event: what a sender told by a request whose signature was right. */
#ifndef WEB_EVENT_H
#define WEB_EVENT_H

#include "base/buf.h"
#include "web/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVENT_TYPE_BYTES_MAX = 256, EVENT_HEADER_BYTES_MAX = 512 };

enum event_end {
    EVENT_STORED,  /* it stands in the database, now or since before */
    EVENT_AWAY,    /* it does not, or nobody knows: the database was not reached, or had no time */
    EVENT_REFUSED, /* it does not: the database says no to this event by itself */
    EVENT_SPOOLED  /* it is on the disk, and will go to the database (spool.h) */
};

struct event {
    struct event *next;
    const struct source *source;
    char id[SIGNATURE_ID_BYTES_MAX + 1]; /* the sender's; of one who gives none, event_set_id's */
    char type[EVENT_TYPE_BYTES_MAX + 1]; /* "": it tells none */
    struct buf headers;                  /* those of interest, a JSON object */
    const void *body;                    /* as it was received; borrowed until it is done */
    size_t length;
    int64_t received_us; /* since 1970, where it was long before it is stored; 0: now */
    bool alone;          /* it goes to the database by itself: with others it was refused */
    bool bare;           /* and without type and headers: with them it was refused */
    void (*on_done)(struct event *event, enum event_end end); /* once */
    void *owner;
};

/* NULL: the sender gave no id, and the hash of the body is one. */
void event_set_id(struct event *event, const char *id);
/* Out of the body, from where the source has it. A body that is no JSON has no type: that is for
 * its job to tell. */
void event_set_type(struct event *event);

/* Opens the headers, adds one unless it is of no interest, closes them. The signature is none: it
 * was judged. Whatever a sender puts in, the database takes it. */
void event_open_headers(struct event *event);
void event_add_header(struct event *event, const char *name, const char *value);
void event_close_headers(struct event *event);

/* As bytes, and back. Body and source's texts are borrowed from the bytes; source is filled in with
 * name, kind and queue, to be exchanged for a lasting one. False: they are no event. */
void event_pack(const struct event *event, struct buf *bytes);
bool event_unpack(struct event *event, struct source *source, const char *bytes, size_t length);

#endif
