/* A lane that this runner owns: how far it has been read, what of it is held, and whether enqueue
 * should notify.
 *
 *              quiet, caught up
 *   DISARMED --------------------> ARMED      armed: an enqueue notifies, the owner sleeps
 *            <--------------------            disarmed: the owner polls, enqueues do not notify
 *               many notifications
 */
#ifndef QUEUE_LANE_H
#define QUEUE_LANE_H

#include "queue/entry.h"

struct runner;
struct workqueue;

enum { LANE_CLASSES = 4 };

/* Reading goes forward in (run_at, id). Everything up to the cursor was seen. */
struct lane_class {
    int64_t cursor_us, cursor_id;
    int64_t pass_us, pass_id; /* how far the pass under way has come */
    bool passing;
    bool more;      /* the last read ended at its limit */
    int read_limit; /* of the read under way */
};

struct lane {
    struct runner *runner;
    struct workqueue *queue;
    int number, shard; /* shard: its place in the queue, from 0 */
    int64_t epoch;
    int64_t acquired_us; /* monotonic */
    bool crashed;        /* its owner before did not let it go in order */
    struct lane_class classes[LANE_CLASSES];
    struct entry *held; /* hash by id: everything between read and commit */
    struct entry *gone; /* of the held, those that only wait for the read under way */
    struct entry *listed, **listed_last; /* for whoever puts statements together: the lane's part */
    size_t waiting;                      /* of the held, those LATER or DUE */
    size_t elsewhere;                    /* of the held, those ELSEWHERE */
    int limit;                           /* rows of the next read, a class */
    int limit_most;     /* of any read: what the args of more would take was seen by the last one */
    int64_t read_at_us; /* monotonic: when to read next */
    int64_t idle_at_us; /* read_at_us as it was planned, when a look will do then (look.h);
                           INT64_MAX: it will not */
    int64_t last_full_us;
    int64_t pass_at_us,
        pass_every_us; /* a full pass looks from the beginning, for what was committed late */
    int64_t poll_us;   /* while disarmed: the present interval */
    int64_t busy_us;   /* monotonic: when a read last found something, or the lane was disarmed */
    int64_t look_us;   /* while reading: the earliest time that lane_look was asked for; INT64_MAX:
                          none */
    int64_t later_us;  /* database's clock: the first job behind the last horizon; INT64_MAX: none,
                          INT64_MIN: not known */
    int read_limit;    /* of the poll under way */
    bool polled;       /* it is a lane_poll */
    bool pass;         /* the read under way is one */
    bool crowded;      /* the last pass of its own found more than a look may bring */
    int reading;       /* units under way that may bring rows of it */
    bool armed, arming;
    bool settling;           /* armed a moment ago: looks go on at growing intervals */
    bool counted;            /* it is known what runs elsewhere of it */
    bool count_wanted;       /* and is to be asked for */
    int claiming;            /* units with claims of it under way */
    bool leaving, releasing; /* handed over: nothing is started, what runs is written down */
    char unknown_kind[64];   /* of a due job that was read, and that this runner does not know; "":
                                none */
    bool yielding;           /* a runner that knows it is looked for */
    int64_t yield_to;        /* leaving: the runner that is to have it; 0: whoever comes */
    bool lost; /* another runner has it: nothing is started, and it goes when its last entry ends */
    size_t cautious_left;     /* rows still to be run cautiously after a takeover */
    int64_t notify_window_us; /* start of the second in which notifications are counted */
    int notify_count;
    struct lane *next;
};

struct lane *lane_new(struct runner *runner, struct workqueue *queue, int number, int64_t epoch,
                      bool crashed);
/* Frees the lane and the entries that wait; no entry of it may run. */
void lane_free(struct lane *lane);

struct entry *lane_find(const struct lane *lane, int64_t id);
void lane_hold(struct lane *lane, struct entry *entry);
void lane_hold_elsewhere(struct lane *lane, struct entry *entry);
/* The entry's job is over, or no longer ours: out of the lane and freed (later, when a read under
 * way may still bring it). */
void lane_drop(struct lane *lane, struct entry *entry);
void lane_drop_gone(struct lane *lane); /* after a read */
/* The entry's job is owed as before and due, but somebody else's to bring (in no heap): freed. */
void lane_leave_out(struct lane *lane, struct entry *entry);

/* Something was or may have been committed that runs at run_at_us: reads from there on, now or when
 * it nears. */
void lane_look(struct lane *lane, int64_t run_at_us);
/* The same, but not before mono_us. */
void lane_look_after(struct lane *lane, int64_t run_at_us, int64_t mono_us);
void lane_on_notify(struct lane *lane, int64_t run_at_us);
void lane_read_at_least(struct lane *lane, int64_t mono_us);
/* Another runner has it, or it is given back: what waits is dropped. */
void lane_lose(struct lane *lane);
void lane_drop_waiting(struct lane *lane); /* and those that run elsewhere */
/* A class was left before its end. */
bool lane_wants_more(const struct lane *lane);
/* What waits is forgotten, and read again from the beginning. */
void lane_restart(struct lane *lane);
/* Lost, and nothing refers to it any more. */
bool lane_is_over(const struct lane *lane);
/* Puts an entry into the lane's list; true when it is the first. */
bool lane_list(struct lane *lane, struct entry *entry);
struct entry *lane_list_take(struct lane *lane);

#endif
