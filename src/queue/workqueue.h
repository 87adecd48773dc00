/* A queue as this runner sees it: what it holds of all its lanes, ordered, and what keeps it from
 * starting: a pause, a hold, a rate, a limit. */
#ifndef QUEUE_WORKQUEUE_H
#define QUEUE_WORKQUEUE_H

#include "base/heap.h"
#include "module/attempt.h"
#include "queue/bucket.h"
#include "queue/entry.h"
#include "queue/limit.h"

struct runner;

struct workqueue {
    struct runner *runner;
    char *name;
    struct heap due;         /* by priority, run_at, id */
    struct heap later;       /* by run_at */
    struct heap suspects;    /* due, one at a time */
    struct heap expiring;    /* of all those that wait, by expires_us */
    int64_t paused_until_us; /* database's clock; INT64_MIN: not paused */
    int64_t held_until_us;   /* monotonic */
    struct bucket bucket;    /* of starts; the lower of what operators and what a module set */
    struct {
        double per_second, burst;
    } set, asked; /* by operators; by a module. 0: none */
    struct limits limits;
    const char *
        waits; /* what kept the first due job from starting when it was last tried; NULL: nothing */
    struct attempt *waiting_first, **waiting_last; /* handlers that wait for a token */
    int lanes, runners, most_lanes; /* in all, and the most that one has, as of the last beat */
    size_t running;                 /* jobs */
    int batch_most;                 /* jobs that a kind of it takes at once, at most */
    int history_days;               /* that the history keeps what ends in it */
    bool saturated;                 /* another runner of the queue has no free slot */
    bool asking;                    /* who owns what */
    struct workqueue *next;
};

struct workqueue *workqueue_new(struct runner *runner, const char *name);
void workqueue_free(struct workqueue *queue);

void workqueue_add(struct workqueue *queue, struct entry *entry); /* LATER or DUE, by its run_at */
/* Out of whichever heap it is in, a gate's too. */
void workqueue_remove(struct workqueue *queue, struct entry *entry);
void workqueue_move_due(struct workqueue *queue, int64_t database_now_us); /* LATER to DUE */
int64_t
workqueue_next_due_us(const struct workqueue *queue); /* database's clock; INT64_MAX: none */

/* Whether a start is allowed now; if not, *next_us (monotonic) says when to look again, INT64_MAX
 * when something else must happen first, and queue->waits why. */
bool workqueue_may_start(struct workqueue *queue, int64_t *next_us);
void workqueue_ask_rate(struct workqueue *queue, double per_second, double burst);   /* a module */
void workqueue_limit_rate(struct workqueue *queue, double per_second, double burst); /* operators */
/* What keeps due jobs from starting, in a word ("rate", "slots", ...); NULL: nothing. */
const char *workqueue_waits(const struct workqueue *queue);
/* The runner stops: who waits for a token is asked to end, and nobody waits any more. */
void workqueue_stop(struct workqueue *queue);
/* Grants waiting handlers their tokens, as far as there are any. */
void workqueue_serve_waiting(struct workqueue *queue);

extern const struct attempt_queue_calls workqueue_calls;

#endif
