/* A job that this runner holds in memory, from the read that found it until its outcome is
 * committed.
 *
 *   LATER ---due---> DUE ---dispatch---> CLAIMING ---claimed---> RUNNING ---handler ends---> ENDED
 * ---commit---> (freed) |  ^                                         ^
 *    |  |             +--|--- no claim needed first ---------------+
 *    |  +--offered-- PARKED <--a gate holds it back--
 *    ELSEWHERE: another runner, which handed the lane over, runs it; only counted
 */
#ifndef QUEUE_ENTRY_H
#define QUEUE_ENTRY_H

#include "base/heap.h"
#include "module/registry.h"

#include <libpq-fe.h>
#include <uthash.h>

struct gate;
struct lane;

enum entry_state {
    ENTRY_LATER,
    ENTRY_DUE,
    ENTRY_SUSPECT,
    ENTRY_PARKED,
    ENTRY_ELSEWHERE,
    ENTRY_CLAIMING,
    ENTRY_RUNNING,
    ENTRY_ENDED
};

struct entry {
    struct heap_item in_heap;   /* LATER, DUE or SUSPECT: of its queue; PARKED: of a gate */
    struct heap_item in_expiry; /* while it is in_heap, and expires */
    UT_hash_handle hh;          /* in its lane, by id */
    struct lane *lane;
    const struct kind *kind; /* held; NULL: ELSEWHERE, of a kind that is not known here */
    const char *key;         /* NULL: none */
    const char *trace;       /* the same */
    int64_t id, run_at_us;   /* database's clock */
    int64_t expires_us;      /* the same: no start from then on; INT64_MAX: never */
    int64_t read_us; /* monotonic: older ones are looked at again, by a claim, before they start */
    int64_t started_us; /* database's clock; 0: not started */
    /* Where the order of a key counts: */
    int64_t created_us;    /* the same */
    int64_t after_id;      /* the job that goes before it and is not over; 0: none */
    int attempt, revision; /* as the row has them */
    int max_attempts, timeout_ms;
    short priority;
    enum entry_state state;
    bool claimed;         /* the row says that it runs */
    bool claim_under_way; /* a lazy claim was sent: the row's attempt is not known until it answers
                           */
    bool claim_again;     /* the lazy claim's answer was lost */
    bool cautious;        /* it may have ended its runner before: claimed first */
    bool lost_before;     /* the row says that it runs, by a runner that is gone */
    bool cancel_requested;
    bool changed; /* the row was, by somebody else; since it is held: what runs will not count */
    int64_t changed_run_at_us;
    /* Of the limits (limit.h): */
    struct gate *gate;                   /* of its key */
    struct gate *parked_in;              /* PARKED */
    struct gate *offered_by;             /* it was parked there, and has not started since */
    struct entry *gate_next, *gate_prev; /* of the same key */
    bool in_slot, in_key;                /* counted as running in queue and kind; in the key */
    bool promised;                       /* a token of its key's rate */
    bool over; /* the job has ended for good; kept while a read may bring who comes behind it */
    bool read_for_gate;     /* by limit_read, in its turn */
    bool seen;              /* ELSEWHERE: by the last read */
    bool gone;              /* ended; kept until the read under way returns */
    struct errand_job *job; /* CLAIMING and later */
    struct entry *next;     /* of its lane's list in use */
    size_t check;           /* of its completion's statements, which one */
    char args[];
};

/* From a row of lane_read that is not a later one. */
struct entry *entry_new(struct lane *lane, const struct kind *kind, const PGresult *rows, int row);
void entry_free(struct entry *entry);

/* A job that another runner runs; kind NULL when it is not known here, key NULL when it has none.
 */
struct entry *entry_new_elsewhere(struct lane *lane, const struct kind *kind, int64_t id,
                                  const char *key);

/* Its runner ended under it, and not for the first time or before its last attempt: it may be what
 * ends runners, so no two of them run at once and none in a batch. */
bool entry_is_suspect(const struct entry *entry);
bool entry_is_before(const struct heap_item *a,
                     const struct heap_item *b); /* by priority, run_at, id */
bool entry_is_due_before(const struct heap_item *a, const struct heap_item *b); /* by run_at, id */
void entry_key(const struct heap_item *item, struct heap_key *key); /* for entry_is_before */
void entry_due_key(const struct heap_item *item,
                   struct heap_key *key); /* for entry_is_due_before */
bool entry_is_created_before(const struct heap_item *a,
                             const struct heap_item *b); /* by created_at, id */
struct entry *entry_from_heap(struct heap_item *item);

/* Columns of lane_read. */
enum lane_read_column {
    ROW_PRIORITY,
    ROW_RUN_AT,
    ROW_ID,
    ROW_ATTEMPT,
    ROW_REVISION,
    ROW_MAX_ATTEMPTS,
    ROW_TIMEOUT_MS,
    ROW_CLAIMED_BY,
    ROW_CANCEL_REQUESTED,
    ROW_KIND,
    ROW_ARGS,
    ROW_LATER,
    ROW_CLAIMER_ALIVE,
    ROW_EXPIRES_AT,
    ROW_KEY,
    ROW_CREATED_AT, /* NULL where the order of a key does not count */
    ROW_AFTER_ID,   /* the same, and for the first of its key */
    ROW_TRACE,
    ROW_LANE /* of lanes_look only */
};

#endif
