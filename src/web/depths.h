/* What stands in the queues, asked of the database on a connection of its own: at most once in ten
 * seconds and for two seconds at most, whoever asks how often. */
#ifndef WEB_DEPTHS_H
#define WEB_DEPTHS_H

#include "config/settings.h"
#include "db/pool.h"

enum { DEPTHS_QUEUES = 200, DEPTH_STATES = 4 };

struct depth {
    char queue[64];
    int64_t jobs[DEPTH_STATES]; /* as depth_state_name has them */
    int64_t oldest_due_us;      /* how long it has waited; 0: there is none */
    bool paused;
    bool more; /* there are more jobs than were counted */
};

const char *depth_state_name(int state);

struct depths {
    struct db_pool pool;
    void (*on_known)(void *owner);
    void *owner;
    int64_t asked_us; /* monotonic; 0: never */
    bool under_way;
    bool known; /* the database answered when it was asked last */
    size_t count;
    struct depth queues[DEPTHS_QUEUES];
};

/* on_known: the asking that was under way has ended. */
void depths_init(struct depths *depths, struct loop *loop, const struct settings *settings,
                 void (*on_known)(void *owner), void *owner);
void depths_clear(struct depths *depths); /* what is under way ends in the call */
/* True: what is there is fresh. False: on_known comes when it is. */
bool depths_ask(struct depths *depths);

#endif
