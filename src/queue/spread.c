#include "queue/spread.h"

#include "base/log.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SPREAD_TIMEOUT_MS = 5000, SPREAD_OWNERS_MAX = 64 };

size_t spread_own_lanes(const struct workqueue *queue)
{
    size_t count = 0;
    for (const struct lane *lane = queue->runner->lanes; lane; lane = lane->next)
        count += lane->queue == queue && !lane->lost && !lane->leaving;
    return count;
}

/* Columns of lanes_spread. */
enum { SPREAD_LANE, SPREAD_EPOCH, SPREAD_OWNER, SPREAD_WANTED, SPREAD_SATURATED, SPREAD_STUCK };

struct spread_owner {
    int64_t id;
    size_t lanes; /* that it keeps: not yet wanted by somebody */
    bool saturated, stuck;
};

struct spread {
    struct spread_owner owners[SPREAD_OWNERS_MAX];
    size_t count;
};

static struct spread_owner *spread_find(struct spread *spread, int64_t id)
{
    for (size_t i = 0; i < spread->count; i++)
        if (spread->owners[i].id == id)
            return &spread->owners[i];
    if (spread->count == SPREAD_OWNERS_MAX)
        return NULL;
    spread->owners[spread->count] = (struct spread_owner){.id = id};
    return &spread->owners[spread->count++];
}

static void spread_count(struct spread *spread, const PGresult *rows, int64_t own_id)
{
    *spread = (struct spread){0};
    for (int row = 0; row < PQntuples(rows); row++) {
        int64_t id = db_get_int(rows, row, SPREAD_OWNER);
        struct spread_owner *owner = id == own_id ? NULL : spread_find(spread, id);
        if (!owner)
            continue;
        owner->lanes += db_get_int(rows, row, SPREAD_WANTED) == 0;
        owner->saturated = db_get_int(rows, row, SPREAD_SATURATED) != 0;
        owner->stuck |= db_get_int(rows, row, SPREAD_STUCK) != 0;
    }
}

/* Whom to ask for one more lane: who has at least two more than we, else one that has no free slot
 * and more than one lane. Its last one is asked for only when its jobs wait there for long ones to
 * end: where jobs are short, two busy runners would take it from each other for ever. */
static struct spread_owner *spread_choose(struct spread *spread, size_t own, bool whole)
{
    struct spread_owner *most = NULL, *saturated = NULL;
    for (size_t i = 0; i < spread->count; i++) {
        struct spread_owner *owner = &spread->owners[i];
        if (!most || owner->lanes > most->lanes)
            most = owner;
        if (owner->saturated && owner->lanes > (owner->stuck ? 0 : 1) &&
            (!saturated || owner->lanes > saturated->lanes))
            saturated = owner;
    }
    return most && most->lanes > own + 1 && !whole ? most : saturated;
}

static void unit_add_want(struct db_unit *unit, const struct runner *runner, const PGresult *rows,
                          int row)
{
    char lane[16], epoch[24], owner[24];
    snprintf(lane, sizeof lane, "%" PRId64, db_get_int(rows, row, SPREAD_LANE));
    snprintf(epoch, sizeof epoch, "%" PRId64, db_get_int(rows, row, SPREAD_EPOCH));
    snprintf(owner, sizeof owner, "%" PRId64, db_get_int(rows, row, SPREAD_OWNER));
    const char *want[] = {lane, epoch, runner->id_text}, *tell[] = {owner, "wanted"};
    db_unit_add(unit, &queue_sql[QUEUE_SQL_LANE_WANT], 3, want);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_RUNNER_TELL], 2, tell);
}

static int spread_lane_of(const PGresult *rows, int64_t owner, int after)
{
    for (int row = after; row < PQntuples(rows); row++)
        if (db_get_int(rows, row, SPREAD_OWNER) == owner &&
            db_get_int(rows, row, SPREAD_WANTED) == 0)
            return row;
    return -1;
}

static void on_wanted(struct db_unit *unit, void *owner)
{
    (void)owner;
    if (unit->err.code != ERR_NONE && unit->err.code != ERR_CANCELLED)
        log_event(LOG_WARN, "asking for lanes failed", "error", unit->err.text, NULL);
}

static void on_spread(struct db_unit *unit, void *owner)
{
    struct workqueue *queue = owner;
    struct runner *runner = queue->runner;
    struct spread spread;
    queue->asking = false;
    if (unit->err.code != ERR_NONE || runner->phase != RUNNER_RUNNING)
        return;
    const PGresult *rows = db_unit_result(unit, 0);
    size_t own = spread_own_lanes(queue), asked = 0;
    struct db_unit *wants = db_unit_new(DB_TRANSACTION, on_wanted, NULL);
    int from[SPREAD_OWNERS_MAX] = {0};
    spread_count(&spread, rows, runner->id);
    size_t share = queue->runners > 0 ? (size_t)(queue->lanes / queue->runners) : 0;
    bool whole = queue->limits.config.whole;
    for (struct spread_owner *chosen; (chosen = spread_choose(&spread, own, whole));) {
        int *after = &from[chosen - spread.owners];
        int row = spread_lane_of(rows, chosen->id, *after);
        if (row < 0 || (asked && (own >= share || whole)))
            break; /* beyond a full share a lane at a time; with one of a whole queue come its
                      others */
        unit_add_want(wants, runner, rows, row);
        *after = row + 1;
        chosen->lanes--;
        own++;
        asked++;
    }
    if (asked)
        db_pool_submit(&runner->control, wants, SPREAD_TIMEOUT_MS);
    else
        db_unit_free(wants);
}

static void spread_ask(struct workqueue *queue)
{
    const char *params[] = {queue->name, queue->runner->kinds};
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_spread, queue);
    queue->asking = true;
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANES_SPREAD], 2, params);
    db_pool_submit(&queue->runner->control, unit, SPREAD_TIMEOUT_MS);
}

/* Somebody has two more than we, or no slot left while we have. */
void spread_check(struct runner *runner)
{
    bool has_slots = runner->dispatch.in_flight < (size_t)runner->concurrency;
    if (runner->phase != RUNNER_RUNNING || !has_slots)
        return;
    for (struct workqueue *queue = runner->workqueues; queue; queue = queue->next) {
        if (queue->asking || queue->runners < 2)
            continue;
        size_t own = spread_own_lanes(queue);
        bool uneven = (size_t)queue->most_lanes > own + 1 && !queue->limits.config.whole;
        if (uneven || queue->saturated)
            spread_ask(queue);
    }
}
