#include "queue/acquire.h"

#include "base/clock.h"
#include "base/log.h"
#include "queue/cutoff.h"
#include "queue/dispatch.h"
#include "queue/handover.h"
#include "queue/reader.h"
#include "queue/runner_state.h"
#include "queue/spread.h"
#include "queue_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ACQUIRE_TIMEOUT_MS = 5000,
    /* An owner whose backend is gone may have lost no more than its connection, and comes back. */
    ACQUIRE_GRACE_US = 500000
};

/* What lanes_free told, for the statements that acquire them. */
struct acquiring {
    struct runner *runner;
    int count;
    struct acquiring_lane {
        int number, shard;
        bool crashed, tokens_known;
        double tokens;         /* of the queue's rate, when it was let go */
        int64_t tokens_age_us; /* how long ago that was */
        char queue[64];
    } lanes[];
};

/* Columns of lanes_free. */
enum {
    FREE_LANE,
    FREE_QUEUE,
    FREE_EPOCH,
    FREE_CRASHED,
    FREE_SHARD,
    FREE_WHOLE,
    FREE_TOKENS,
    FREE_TOKENS_AGE,
    FREE_OURS
};

/* A queue's rate goes on where the last owner of its first lane let go. After a crash nobody knows
 * how many starts there were: then none are left. Nobody ever owned it: all are there. */
static void lane_take_tokens(const struct lane *lane, const struct acquiring_lane *acquired)
{
    struct bucket *bucket = &lane->queue->bucket;
    if (lane->shard != 0 || lane->epoch <= 1)
        return;
    double tokens = acquired->tokens_known ? acquired->tokens + (double)acquired->tokens_age_us *
                                                                    bucket->per_second / 1e6
                                           : 0;
    bucket_set_tokens(bucket, tokens, clock_mono_us());
}

static void runner_add_lane(struct runner *runner, const struct acquiring_lane *acquired,
                            int64_t epoch)
{
    struct lane *lane = lane_new(runner, runner_workqueue(runner, acquired->queue),
                                 acquired->number, epoch, acquired->crashed);
    lane->shard = acquired->shard;
    lane_take_tokens(lane, acquired);
    lane->next = runner->lanes;
    runner->lanes = lane;
    runner->lane_count++;
}

/* Told once: from here on what is enqueued is run. */
void acquire_tell_ready(struct runner *runner)
{
    if (!runner->ready)
        log_event(LOG_INFO, "runner ready", "runner", runner->id_text, "lanes",
                  log_int((long long)runner->lane_count), NULL);
    runner->ready = true;
}

static void acquire_end(struct runner *runner)
{
    runner->acquiring = false;
    if (runner->check_more)
        acquire_check_owned(runner);
    runner->check_more = false;
}

static void on_acquired(struct db_unit *unit, void *owner)
{
    struct acquiring *acquiring = owner;
    struct runner *runner = acquiring->runner;
    int count = 0, crashed = 0;
    acquire_end(runner);
    if (unit->err.code != ERR_NONE) {
        log_event(LOG_WARN, "acquiring lanes failed", "error", unit->err.text, NULL);
        acquire_check_owned(runner); /* they may be ours all the same */
        return;
    }
    for (int i = 0; i < acquiring->count; i++) {
        const PGresult *rows = db_unit_result(unit, (size_t)i);
        if (PQntuples(rows) == 0 || runner_lane(runner, acquiring->lanes[i].number))
            continue; /* somebody was faster */
        runner_add_lane(runner, &acquiring->lanes[i], db_get_int(rows, 0, 0));
        dependents_release(runner, acquiring->lanes[i].number);
        count++;
        crashed += acquiring->lanes[i].crashed;
    }
    log_event(LOG_INFO, "lanes acquired", "lanes", log_int(count), "taken_over", log_int(crashed),
              NULL);
    if (runner->phase != RUNNER_RUNNING) {
        handover_start_all(runner); /* it was told to stop meanwhile */
        return;
    }
    acquire_tell_ready(runner);
    reader_schedule(runner);
    if (runner->acquire_more)
        acquire_start(runner);
}

/* No more than a fair share is taken, rounded up; the others take theirs. A whole queue is not
 * shared, and what was left to us is ours: then any. */
static bool acquiring_may_take(const struct acquiring *acquiring, const char *name, bool any)
{
    const struct workqueue *queue = runner_workqueue(acquiring->runner, name);
    size_t own = spread_own_lanes(queue);
    if (queue->runners < 2 || any)
        return true;
    for (int i = 0; i < acquiring->count; i++)
        own += strcmp(acquiring->lanes[i].queue, name) == 0;
    return own < (size_t)((queue->lanes + queue->runners - 1) / queue->runners);
}

/* From the first sight of a lane whose owner is gone. */
static bool acquire_grace_is_over(struct runner *runner)
{
    int64_t now_us = clock_mono_us();
    if (!runner->crash_seen_us) {
        runner->crash_seen_us = now_us;
        loop_timer_set(&runner->acquire_again, now_us + ACQUIRE_GRACE_US);
    }
    return now_us - runner->crash_seen_us >= ACQUIRE_GRACE_US;
}

static void acquiring_add(struct acquiring *acquiring, struct db_unit *unit, const PGresult *rows,
                          int row)
{
    char number[16], epoch[24];
    bool crashed = db_get_int(rows, row, FREE_CRASHED) != 0;
    bool whole = db_get_int(rows, row, FREE_WHOLE) != 0;
    bool ours = db_get_int(rows, row, FREE_OURS) != 0;
    if (!acquiring_may_take(acquiring, PQgetvalue(rows, row, FREE_QUEUE), whole || ours) ||
        (crashed && !acquire_grace_is_over(acquiring->runner)))
        return;
    struct acquiring_lane *lane = &acquiring->lanes[acquiring->count++];
    lane->number = (int)db_get_int(rows, row, FREE_LANE);
    lane->shard = (int)db_get_int(rows, row, FREE_SHARD);
    lane->crashed = crashed;
    lane->tokens_known = !crashed && !PQgetisnull(rows, row, FREE_TOKENS);
    lane->tokens = (double)db_get_int(rows, row, FREE_TOKENS) / 1e6;
    lane->tokens_age_us = db_get_int(rows, row, FREE_TOKENS_AGE);
    snprintf(lane->queue, sizeof lane->queue, "%s", PQgetvalue(rows, row, FREE_QUEUE));
    snprintf(number, sizeof number, "%d", lane->number);
    snprintf(epoch, sizeof epoch, "%" PRId64, db_get_int(rows, row, FREE_EPOCH));
    const char *params[] = {number, acquiring->runner->id_text, epoch};
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANE_ACQUIRE], 3, params);
}

static void on_free(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    if (unit->err.code != ERR_NONE || PQntuples(db_unit_result(unit, 0)) == 0 ||
        runner->phase != RUNNER_RUNNING) {
        acquire_end(runner);
        if (unit->err.code == ERR_NONE)
            acquire_tell_ready(runner);
        return;
    }
    const PGresult *rows = db_unit_result(unit, 0);
    int count = PQntuples(rows);
    struct db_unit *next = db_unit_new(DB_TRANSACTION, on_acquired, NULL);
    struct acquiring *acquiring =
        arena_zalloc(&next->arena, sizeof *acquiring + (size_t)count * sizeof acquiring->lanes[0]);
    acquiring->runner = runner;
    next->owner = acquiring;
    /* Runners that start together begin at different places, so that they do not all want the same
     * lanes. The first lane of a whole queue comes before its others. */
    for (int i = 0; i < 2 * count; i++) {
        int row = (i + (int)(runner->id % count)) % count;
        bool first = db_get_int(rows, row, FREE_WHOLE) && db_get_int(rows, row, FREE_SHARD) == 0;
        if (first == (i < count))
            acquiring_add(acquiring, next, rows, row);
    }
    if (runner->crash_seen_us && acquire_grace_is_over(runner))
        runner->crash_seen_us = 0;
    if (acquiring->count) {
        db_pool_submit(&runner->control, next, ACQUIRE_TIMEOUT_MS);
        return;
    }
    db_unit_free(next);
    acquire_end(runner);
    acquire_tell_ready(runner);
}

void acquire_start(struct runner *runner)
{
    runner->acquire_more = runner->acquiring;
    if (runner->acquiring || runner->phase != RUNNER_RUNNING)
        return;
    runner->acquiring = true;
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_free, runner);
    const char *params[] = {runner->queues, runner->id_text};
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANES_FREE], 2, params);
    db_pool_submit(&runner->control, unit, ACQUIRE_TIMEOUT_MS);
}

static bool rows_have(const PGresult *rows, const struct lane *lane)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (db_get_int(rows, row, 0) == lane->number && db_get_int(rows, row, 1) == lane->epoch)
            return true;
    return false;
}

static bool runner_has_lane(const struct runner *runner, const PGresult *rows, int row)
{
    for (const struct lane *lane = runner->lanes; lane; lane = lane->next)
        if (lane->number == db_get_int(rows, row, 0) && lane->epoch == db_get_int(rows, row, 1))
            return true;
    return false;
}

static void on_let_go(struct db_unit *unit, void *owner)
{
    if (unit->err.code == ERR_NONE)
        acquire_start(owner);
}

/* Lanes that the database says are ours and that we know nothing of: the answer to their
 * acquisition was lost. Given back, and acquired like any other. */
static void acquire_let_go_unknown(struct runner *runner, const PGresult *rows)
{
    char number[16], epoch[24];
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_let_go, runner);
    for (int row = 0; row < PQntuples(rows); row++) {
        if (runner_has_lane(runner, rows, row))
            continue;
        snprintf(number, sizeof number, "%" PRId64, db_get_int(rows, row, 0));
        snprintf(epoch, sizeof epoch, "%" PRId64, db_get_int(rows, row, 1));
        const char *params[] = {number, epoch, NULL, NULL}; /* nobody knows of tokens */
        db_unit_add(unit, &queue_sql[QUEUE_SQL_LANE_RELEASE], 4, params);
    }
    runner->check_more = unit->count && runner->acquiring; /* they may be what that acquires */
    if (unit->count && !runner->acquiring)
        db_pool_submit(&runner->control, unit, ACQUIRE_TIMEOUT_MS);
    else
        db_unit_free(unit);
}

static void on_owned(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    runner->checking = false;
    if (unit->err.code != ERR_NONE)
        return; /* the next beat asks again */
    const PGresult *rows = db_unit_result(unit, 0);
    for (struct lane *lane = runner->lanes; lane; lane = lane->next) {
        if (lane->lost || lane->releasing || rows_have(rows, lane))
            continue;
        log_event(LOG_WARN, "lane lost to another runner", "lane", log_int(lane->number), NULL);
        lane_lose(lane);
    }
    if (runner->phase == RUNNER_RUNNING)
        acquire_let_go_unknown(runner, rows);
    runner->lease.unchecked = false;
    runner->lease.doubt_since_us = 0;
    cutoff_schedule(runner);
    reader_schedule(runner);
    dispatch_schedule(runner);
}

void acquire_check_owned(struct runner *runner)
{
    const char *params[] = {runner->id_text};
    if (runner->checking)
        return;
    runner->checking = true;
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_owned, runner);
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANES_OWNED], 1, params);
    db_pool_submit(&runner->control, unit, ACQUIRE_TIMEOUT_MS);
}
