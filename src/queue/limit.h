/* The limits of a queue, as this runner enforces them: how many jobs at once in all, of a kind, of
 * a key; how many a second; the order of a key's jobs; paused kinds. All in memory: a queue with a
 * limit that is one number for all of it is owned whole, and a key's jobs stand in one lane.
 *
 * What other runners still run of lanes that they handed over counts, too; so nothing starts before
 * it is known (limit_read.h reads it when a lane is acquired). */
#ifndef QUEUE_LIMIT_H
#define QUEUE_LIMIT_H

#include "queue/gate.h"

struct lane;
struct runner;
struct workqueue;

/* As errand.queue has them; 0: none. */
struct limit_config {
    bool whole; /* all lanes belong to one runner */
    int concurrency, key_concurrency;
    double rate, burst, key_rate, key_burst; /* a second */
    bool key_ordered;
};

/* What counts here of a kind's settings. */
struct limit_kind {
    int concurrency;         /* 0: none */
    bool is_own;             /* the kind's own number, for this runner alone */
    int64_t paused_until_us; /* database's clock; INT64_MIN: not paused */
};

struct limits {
    struct limit_config config;
    /* Numbers of running jobs matter: what runs elsewhere is counted, and handlers are cut off when
     * the lanes may be another's. */
    bool counting;
    size_t inside;          /* jobs of the queue that run, elsewhere too */
    size_t kind_count;      /* of the two arrays */
    struct limit_kind *set; /* by the kind's number, as told last */
    struct gate **kinds;    /* the same; NULL where nothing is set */
    struct gate *keys;      /* hash by key */
    struct heap opening;    /* gates that time opens */
};

void limit_init(struct workqueue *queue);
void limit_clear(struct workqueue *queue);

/* The settings have been told. Where they differ from those before, what waits is forgotten and
 * read anew. */
void limit_configure(struct workqueue *queue, const struct limit_config *config);
/* Those of the kinds have been told, or kinds have come, changed or gone. */
void limit_configure_kinds(struct runner *runner);

/* False while it is not known yet what runs elsewhere, or lanes of a whole queue are missing. */
bool limit_is_ready(const struct workqueue *queue);
/* Whether one more may start in the queue as a whole; not asked: rate, kind, key. */
bool limit_has_room(const struct workqueue *queue);

/* The entry is held from now on. */
void limit_hold(struct entry *entry);
/* The gate that holds a due entry back; NULL: none does. */
struct gate *limit_gate_against(struct entry *entry);
void limit_enter(struct entry *entry); /* it is to start, now or when it is claimed */
void limit_start(struct entry *entry); /* it starts */
/* It runs on another runner, by its row: counted until it is forgotten. */
void limit_enter_elsewhere(struct entry *entry);
void limit_leave(struct entry *entry);  /* its handler has ended */
void limit_forget(struct entry *entry); /* it is dropped from memory, whatever it was */
/* The row says that nobody goes before it any more. */
void limit_is_first(struct entry *entry);
/* A job is over (not to be tried again): who comes behind it in the order of its key may go when it
 * is forgotten. */
void limit_ended(struct entry *entry);
/* The same for one that is not held, or of which only the id is known. */
void limit_ended_id(struct lane *lane, int64_t id);
/* Gates that time has opened; returns when to look again (monotonic; INT64_MAX: never). */
int64_t limit_open_due(struct workqueue *queue);
/* Frees the gates of keys that nobody needs. */
void limit_sweep(struct workqueue *queue);

#endif
