#include "queue/claim.h"

#include "base/buf.h"
#include "base/log.h"
#include "queue/acquire.h"
#include "queue/dispatch.h"
#include "queue/expiry.h"
#include "queue/handover.h"
#include "queue/lease.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <string.h>

enum {
    CLAIM_TIMEOUT_MS = 10000,
    LAZY_EVERY_US = 250000,
    LAZY_AFTER_US = 1000000,
    REFUSED_US = 50000
};

static void claim_flush(void *owner);
static void claim_lazily(void *owner);

void claim_init(struct runner *runner)
{
    struct claim *claim = &runner->claim;
    claim->last = &claim->first;
    claim->soon = (struct loop_deferred){.run = claim_flush, .owner = runner};
    loop_timer_init(&claim->lazy, &runner->loop, claim_lazily, runner);
    loop_timer_set(&claim->lazy, clock_mono_us() + LAZY_EVERY_US);
}

/* What a runner that is gone has tried, before the row forgets it. */
static void lane_add_lost(struct lane *lane, struct db_unit *unit, const struct entry *list)
{
    struct params params;
    bool any = false;
    for (const struct entry *entry = list; entry; entry = entry->next)
        any |= entry->lost_before;
    if (!any)
        return;
    params_init(&params, lane);
    params_add_text(&params, lane->runner->id_text);
    params_add_entries(&params, list);
    params_add_int(&params, lane->queue->history_days);
    params_add_to(&params, unit, QUEUE_SQL_ATTEMPT_LOST, false);
    params_clear(&params);
}

/* One lane's statement, from the entries in its list. */
static void lane_add_claim(struct lane *lane, struct db_unit *unit, struct entry *list)
{
    struct params params;
    params_init(&params, lane);
    params_add_text(&params, lane->runner->id_text);
    params_add_entries(&params, list);
    params_add_to(&params, unit, QUEUE_SQL_JOB_CLAIM, true);
    params_clear(&params);
}

/* A claim's unit: its lanes with their statements, and the attempts that wait for it (none for a
 * lazy one). */
struct claiming {
    struct runner *runner;
    struct attempt *attempts;
    size_t count;
    struct {
        struct lane *lane;
        size_t statement;
    } lanes[];
};

static struct db_unit *claiming_new(struct runner *runner,
                                    void (*on_done)(struct db_unit *, void *))
{
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_done, NULL);
    struct claiming *claiming = arena_zalloc(
        &unit->arena, sizeof *claiming + runner->lane_count * sizeof claiming->lanes[0]);
    claiming->runner = runner;
    unit->owner = claiming;
    return unit;
}

static void claiming_add_lanes(struct claiming *claiming, struct db_unit *unit)
{
    for (struct lane *lane = claiming->runner->lanes; lane; lane = lane->next) {
        struct entry *list = lane_list_take(lane);
        if (!list)
            continue;
        lane_add_lost(lane, unit, list);
        claiming->lanes[claiming->count].lane = lane;
        claiming->lanes[claiming->count++].statement = unit->count;
        lane_add_claim(lane, unit, list);
        lane->claiming++;
    }
}

static void claiming_mark(struct lane *lane, const PGresult *rows)
{
    int count = PQntuples(rows);
    for (int row = 0; row < count; row++) {
        struct entry *entry = lane_find(lane, db_get_int(rows, row, 0));
        if (!entry || entry->claimed)
            continue;
        entry->claimed = true;
        entry->attempt++;
    }
}

/* ---- First ---- */

/* The row is not what was read, or somebody has locked it: looked at again from where it stood,
 * soon.
 */
static void entry_refuse(struct entry *entry)
{
    struct lane *lane = entry->lane;
    int64_t run_at_us = entry->run_at_us;
    lane_drop(lane, entry);
    lane_look_after(lane, run_at_us, clock_mono_us() + REFUSED_US);
}

static void claiming_begin(struct runner *runner, struct attempt *attempt)
{
    bool refused = false;
    /* The answer may have come so late that the lanes are others' by now. */
    bool may_start = lease_holds(runner);
    for (size_t i = 0; i < attempt->count; i++) {
        struct entry *entry = attempt->jobs[i].owner;
        may_start &= !entry->lane->lost;
        if (entry->claimed && !expiry_is_over(entry))
            continue;
        attempt->jobs[i].owner = NULL;
        if (entry->claimed) {
            dispatch_end(entry, &(struct outcome){.code = OUTCOME_CANCELLED});
            continue;
        }
        entry_refuse(entry);
        refused = true;
    }
    if (refused)
        acquire_check_owned(runner);
    if (may_start || runner->phase == RUNNER_STOPPING)
        dispatch_begin(runner, attempt);
    else
        dispatch_put_back(runner, attempt);
}

static void claim_on_done(struct db_unit *unit, void *owner)
{
    struct claiming *claiming = owner;
    struct runner *runner = claiming->runner;
    runner->claim.under_way = false;
    bool again = unit->err.code == ERR_TEMPORARY || unit->err.code == ERR_UNKNOWN_OUTCOME;
    if (strcmp(unit->err.sqlstate, "55P03") == 0)
        log_event(LOG_DEBUG, "claims wait for a lock", NULL);
    else if (unit->err.code != ERR_NONE)
        log_event(LOG_WARN, "claiming jobs failed", "error", unit->err.text, NULL);
    for (size_t i = 0; i < claiming->count; i++) {
        struct lane *lane = claiming->lanes[i].lane;
        if (unit->err.code == ERR_NONE)
            claiming_mark(lane, db_unit_result(unit, claiming->lanes[i].statement));
        lane->claiming--;
    }
    for (struct attempt *attempt = claiming->attempts; attempt;) {
        struct attempt *next = attempt->next;
        attempt->next = NULL;
        if (again) /* sent as it was: what was claimed already is claimed */
            claim_add(runner, attempt);
        else
            claiming_begin(runner, attempt);
        attempt = next;
    }
    handover_check(runner);
    if (runner->claim.first)
        loop_defer(&runner->loop, &runner->claim.soon);
}

static void attempt_list_entries(struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->count; i++) {
        struct entry *entry = attempt->jobs[i].owner;
        entry->state = ENTRY_CLAIMING;
        entry->claimed = false;
        if (!entry->started_us)
            entry->started_us = clock_database_us(&entry->lane->runner->clock);
        lane_list(entry->lane, entry);
    }
}

static void claim_flush(void *owner)
{
    struct runner *runner = owner;
    struct claim *claim = &runner->claim;
    if (claim->under_way || !claim->first)
        return;
    struct db_unit *unit = claiming_new(runner, claim_on_done);
    struct claiming *claiming = unit->owner;
    claiming->attempts = claim->first;
    claim->first = NULL;
    claim->last = &claim->first;
    for (struct attempt *attempt = claiming->attempts; attempt; attempt = attempt->next)
        attempt_list_entries(attempt);
    claiming_add_lanes(claiming, unit);
    claim->under_way = true;
    db_pool_submit(&runner->writes, unit, CLAIM_TIMEOUT_MS);
}

void claim_add(struct runner *runner, struct attempt *attempt)
{
    attempt->next = NULL;
    *runner->claim.last = attempt;
    runner->claim.last = &attempt->next;
    loop_defer(&runner->loop, &runner->claim.soon);
}

/* ---- Lazily ---- */

static void lazy_on_done(struct db_unit *unit, void *owner)
{
    struct claiming *claiming = owner;
    struct runner *runner = claiming->runner;
    for (size_t i = 0; i < claiming->count; i++) {
        struct lane *lane = claiming->lanes[i].lane;
        if (unit->err.code == ERR_NONE)
            claiming_mark(lane, db_unit_result(unit, claiming->lanes[i].statement));
        /* Without an answer the row's attempt is not known: asked again before anything else is
         * said of it. */
        for (struct entry *entry = lane->held; entry; entry = entry->hh.next) {
            entry->claim_again = entry->claim_under_way && unit->err.code != ERR_NONE;
            entry->claim_under_way &= entry->claim_again;
        }
        lane->claiming--;
    }
    runner->claim.lazy_under_way = false;
    if (runner->claim.hurried)
        claim_hurry(runner);
    completion_schedule(runner);
    handover_check(runner);
}

static bool lane_list_long_running(struct lane *lane, int64_t now_us)
{
    bool any = false;
    for (struct entry *entry = lane->held; entry; entry = entry->hh.next) {
        bool fresh = entry->state == ENTRY_RUNNING && !entry->claimed && !entry->claim_under_way &&
                     (now_us - entry->started_us >= LAZY_AFTER_US || lane->leaving ||
                      entry->job->progress_is_new);
        if (entry->gone || (!fresh && !entry->claim_again))
            continue;
        entry->claim_again = false;
        entry->claim_under_way = true;
        lane_list(lane, entry);
        any = true;
    }
    return any;
}

void claim_hurry(struct runner *runner)
{
    runner->claim.hurried = runner->claim.lazy_under_way;
    loop_timer_set(&runner->claim.lazy, clock_mono_us());
}

static void claim_lazily(void *owner)
{
    struct runner *runner = owner;
    bool any = false;
    loop_timer_set(&runner->claim.lazy, clock_mono_us() + LAZY_EVERY_US);
    handover_check(runner);
    if (runner->claim.lazy_under_way || (!runner->host.running && !runner->completion.count))
        return;
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        any |= lane_list_long_running(lane, clock_database_us(&runner->clock));
    if (!any)
        return;
    struct db_unit *unit = claiming_new(runner, lazy_on_done);
    claiming_add_lanes(unit->owner, unit);
    runner->claim.lazy_under_way = true;
    db_pool_submit(&runner->writes, unit, CLAIM_TIMEOUT_MS);
}
