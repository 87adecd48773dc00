/* Accepting: events go to the database in batches of one source, each event with its job, in one
 * statement. While one batch is under way the next one gathers; once it has a few it goes out
 * beside it. What cannot be told apart in a batch (one of them is refused) is sent once more, one
 * by one, and one that is refused alone without what is not needed of it: what was rightly signed
 * is kept. */
#ifndef WEB_ACCEPT_H
#define WEB_ACCEPT_H

#include "config/settings.h"
#include "db/pool.h"
#include "web/event.h"

struct accept {
    struct loop *loop;
    struct db_pool pool;
    struct event *first, **last; /* waiting */
    size_t gathered;             /* of them */
    size_t bytes;                /* of those that wait or are under way */
    size_t under_way;            /* batches */
    /* Of batches whose senders wait; may be set. */
    int timeout_ms;
    bool impatient; /* they end as away as soon as no connection to the database can be made */
    /* So many events of a source were stored, fresh of them for the first time. May be set. */
    void (*on_stored)(const struct source *source, size_t events, size_t fresh, void *owner);
    void *owner;
    struct loop_deferred soon;
};

void accept_init(struct accept *accept, struct loop *loop, const struct settings *settings);
void accept_clear(struct accept *accept); /* what is not stored ends as away, in the call */

/* Takes the event over; its on_done comes later. False: too many wait, and nothing was taken. */
bool accept_add(struct accept *accept, struct event *event);

#endif
