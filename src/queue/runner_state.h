/* The runner's state, shared by the files of this folder and nobody else. */
#ifndef QUEUE_RUNNER_STATE_H
#define QUEUE_RUNNER_STATE_H

#include "base/clock.h"
#include "db/pool.h"
#include "kind/watch.h"
#include "loop/loop.h"
#include "module/attempt.h"
#include "queue/blocked.h"
#include "queue/claim.h"
#include "queue/completion.h"
#include "queue/dependents.h"
#include "queue/joblog.h"
#include "queue/kind_setting.h"
#include "queue/lane.h"
#include "queue/limit_read.h"
#include "queue/progress.h"
#include "queue/retention.h"
#include "queue/runner.h"
#include "queue/schedule.h"
#include "queue/statistic.h"
#include "queue/workqueue.h"

enum runner_phase {
    RUNNER_STARTING, /* not registered yet */
    RUNNER_RUNNING,
    RUNNER_STOPPING, /* nothing new; what runs may finish */
    RUNNER_LEAVING,  /* lanes and the runner's row are given back */
    RUNNER_STOPPED
};

struct lease {
    int64_t ttl_us;
    int64_t valid_until_us; /* monotonic: counted from before the last renewal was sent, less a
                               margin */
    bool again;             /* a renewal was asked for while one was under way */
    int64_t doubt_since_us; /* monotonic: unchecked because its connection was lost; 0: not so */
    bool stale;             /* settings have changed: nothing starts until they are read */
    bool unchecked;  /* others may have taken lanes meanwhile: nothing starts until it is known */
    int64_t sent_us; /* of the renewal under way; 0: none */
    struct loop_timer timer;
};

struct runner {
    struct loop loop;
    const struct settings *settings;
    const struct runner_front *front; /* NULL: none */
    struct registry registry;
    struct kind_watch *kinds_watch; /* NULL: no directory of jobs */
    struct kind_settings kind_settings;
    struct clock_offset clock;
    enum runner_phase phase;
    int64_t id; /* 0: not registered */
    char id_text[24];
    const char *queues; /* array literal of the queues served; NULL: all */
    char *queues_text, *name;
    char *kinds; /* array literal of the kinds served */
    struct {
        bool untold, telling; /* what they are now, to the database */
        bool refused;         /* it was told, and did not take it */
    } served;
    int concurrency, exit_code;
    int runners; /* that live and serve our queues, as of the last beat */
    bool listen; /* on this connection, now */
    struct db_pool control, reads, writes, work, sql;
    struct attempt_host host;
    struct lease lease;
    struct lane *lanes;
    size_t lane_count;
    struct workqueue *workqueues;
    struct completion completion;
    struct claim claim;
    struct progress progress;
    struct joblog joblog;
    struct statistic statistic;
    struct dependents dependents;
    struct blocked blocked;
    struct schedule_clock schedule;
    struct {
        struct loop_timer timer;
        bool under_way;
    } reader;
    struct {
        struct loop_timer timer;
        struct loop_deferred soon;
        size_t suspects;  /* of those in flight */
        size_t in_flight; /* attempts started or about to be */
    } dispatch;
    struct limit_read limit_read;
    struct loop_timer cutoff;
    struct ev_signal on_term, on_int, on_hup;
    bool cutting; /* stopping, and what still runs was ended */
    struct loop_timer grace, upkeep;
    struct retention retention;
    bool acquiring, acquire_more, checking, asking_cancelled, ready;
    bool check_more;       /* which lanes are ours, when the acquisition under way is over */
    int64_t crash_seen_us; /* monotonic: a lane whose owner is gone, first seen; 0: none */
    struct loop_timer acquire_again;
    int64_t away_since_us; /* monotonic: the control connection is down; 0: it is up */
};

struct lane *runner_lane(const struct runner *runner, int number); /* NULL: not ours */
struct workqueue *runner_workqueue(struct runner *runner,
                                   const char *name); /* made when it is new */
/* While stopping: leaves when the last job has ended and is committed. */
void runner_bury_lanes(struct runner *runner); /* frees the lanes that are over */
void runner_check_stopped(struct runner *runner);
void runner_fail(struct runner *runner,
                 const struct err *err); /* config errors: ends the process with a message */

#endif
