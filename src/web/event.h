/* An event: what a sender told by a request whose signature was right. */
#ifndef WEB_EVENT_H
#define WEB_EVENT_H

#include "base/buf.h"
#include "web/source.h"

#include <stdbool.h>
#include <stddef.h>

enum { EVENT_TYPE_BYTES_MAX = 256, EVENT_HEADER_BYTES_MAX = 512 };

struct event {
    struct event *next;
    const struct source *source;
    char id[SIGNATURE_ID_BYTES_MAX + 1]; /* the sender's; of one who gives none, event_set_id's */
    char type[EVENT_TYPE_BYTES_MAX + 1]; /* "": it tells none */
    struct buf headers;                  /* those of interest, a JSON object */
    const void *body;                    /* as it was received; borrowed until it is done */
    size_t length;
    bool alone; /* it goes to the database by itself: with others it was refused */
    bool bare;  /* and without type and headers: with them it was refused */
    /* Once: it stands in the database (now, or it did before), or it does not, and the sender must
     * send it again. */
    void (*on_done)(struct event *event, bool stored);
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

#endif
