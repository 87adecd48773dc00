/* A gate: the jobs of one kind or of one key of a queue go through it, so many at once, so many a
 * second, or one after the other in their order. A due job that a gate holds back is parked there,
 * out of the way of others, and offered to the queue again when the gate has room for it.
 *
 * Only so many are parked; the gate remembers that there are more and reads them (limit_read.h)
 * when few are left. */
#ifndef QUEUE_GATE_H
#define QUEUE_GATE_H

#include "base/heap.h"
#include "queue/bucket.h"
#include "queue/entry.h"

#include <uthash.h>

struct workqueue;

enum {
    GATE_PARKED_MAX = 256, /* in memory, a gate */
    GATE_PARKED_LOW = 64   /* with so many left, more are read */
};

struct gate {
    struct workqueue *queue;
    const struct kind *kind; /* of a kind's gate, held; NULL: of a key */
    struct lane *lane;       /* of a key's gate; NULL: of a kind, in every lane */
    size_t limit;            /* jobs inside at once; 0: any number */
    bool ordered;            /* one after the other, as they were enqueued */
    struct bucket bucket;
    int64_t paused_until_us; /* database's clock; INT64_MIN: not paused */
    size_t inside;           /* started and not over, on other runners too */
    size_t offered;          /* parked before, given back to the queue, not started yet */
    struct heap parked;
    bool more;             /* of its jobs some were left out, because enough were parked */
    int64_t more_from_us;  /* the least run_at of those */
    bool wanted, reading;  /* limit_read's */
    struct gate *next;     /* the same */
    struct entry *entries; /* of the key, that know it */
    int64_t open_at_us;    /* monotonic: when to look again; INT64_MAX: when something happens */
    struct heap_item in_opening; /* by open_at_us, in the queue's heap */
    UT_hash_handle hh;           /* of a key's gate, by key */
    char key[];
};

struct gate *gate_new(struct workqueue *queue, const char *key, bool ordered);
void gate_free(struct gate *gate); /* nothing is parked */

/* Whether the entry may start now, as far as this gate is asked; when only time keeps it back,
 * open_at_us says when. */
bool gate_admits(struct gate *gate, const struct entry *entry);
/* Parks a due entry that is in no heap, or drops it when enough are parked already. */
void gate_park(struct gate *gate, struct entry *entry);
/* Takes a parked entry out. */
void gate_remove(struct gate *gate, struct entry *entry);
/* An entry that was offered has left the queue's heap. */
void gate_on_offered_gone(struct entry *entry);
/* Something has changed: offers what may start now. */
void gate_kick(struct gate *gate);
bool gate_is_idle(struct gate *gate);
struct gate *gate_from_opening(struct heap_item *item);
bool gate_opens_before(const struct heap_item *a, const struct heap_item *b);

#endif
