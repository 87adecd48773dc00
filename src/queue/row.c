#include "queue/row.h"

#include "queue/dispatch.h"
#include "queue/runner_state.h"
#include "queue/yield.h"

/* The row says that it runs, and whoever runs it lives: a runner that handed the lane over, or this
 * one did. */
static bool row_runs_elsewhere(const struct lane *lane, const PGresult *rows, int row, int64_t id)
{
    if (PQgetisnull(rows, row, ROW_CLAIMED_BY))
        return false;
    if (db_get_int(rows, row, ROW_CLAIMED_BY) != lane->runner->id)
        return db_get_int(rows, row, ROW_CLAIMER_ALIVE) != 0;
    for (const struct lane *each = lane->runner->lanes; each; each = each->next)
        if (each->number == lane->number && lane_find(each, id))
            return true;
    return false;
}

/* The row of a job that is held: true when it was changed since and the entry made room for the new
 * form. What runs or has just ended does not; the row is looked at again when it is gone. */
static bool entry_give_way(struct entry *entry, const PGresult *rows, int row)
{
    struct lane *lane = entry->lane;
    int64_t run_at_us = db_get_time_us(rows, row, ROW_RUN_AT);
    bool replaced = (int)db_get_int(rows, row, ROW_REVISION) != entry->revision;
    if (!PQgetisnull(rows, row, ROW_CREATED_AT) && PQgetisnull(rows, row, ROW_AFTER_ID))
        limit_is_first(entry);
    if (entry->in_heap.place && (replaced || run_at_us != entry->run_at_us ||
                                 db_get_int(rows, row, ROW_PRIORITY) != entry->priority)) {
        lane_drop(lane, entry);
        return true;
    }
    if (!replaced)
        return false;
    entry->changed = true;
    entry->changed_run_at_us = run_at_us;
    if (entry->gone && run_at_us < lane->look_us)
        lane->look_us = run_at_us;
    return false;
}

bool row_take(struct lane *lane, const PGresult *rows, int row)
{
    int64_t id = db_get_int(rows, row, ROW_ID);
    struct entry *held = lane_find(lane, id);
    if (held && held->state == ENTRY_ELSEWHERE && !held->gone) {
        if (row_runs_elsewhere(lane, rows, row, id))
            return false;
        lane_drop(lane, held);
        held = NULL;
    }
    /* Told by notification where there are any; else here. */
    if (held && held->state == ENTRY_RUNNING && !held->gone && !held->job->cancelled &&
        db_get_int(rows, row, ROW_CANCEL_REQUESTED))
        dispatch_cancel(held->job);
    if (held && !entry_give_way(held, rows, row))
        return false;
    const struct kind *kind =
        registry_find(&lane->runner->registry, PQgetvalue(rows, row, ROW_KIND));
    /* No args: a kind of somebody else's, of a version to come, or one that has come since the read
     * was sent; that is read again. */
    if (!kind || PQgetisnull(rows, row, ROW_ARGS)) {
        if (!kind)
            yield_note(lane, PQgetvalue(rows, row, ROW_KIND));
        return false;
    }
    if (row_runs_elsewhere(lane, rows, row, id))
        return false;
    struct entry *entry = entry_new(lane, kind, rows, row);
    if (lane->cautious_left > 0) {
        lane->cautious_left--;
        entry->cautious = true;
    }
    lane_hold(lane, entry);
    return true;
}

bool row_look(struct lane *lane, const PGresult *rows, int row)
{
    int64_t id = db_get_int(rows, row, ROW_ID);
    const struct entry *held = lane_find(lane, id);
    bool ended = held && held->gone;
    row_take(lane, rows, row);
    if (ended)
        return false; /* what was changed meanwhile is looked for when it is forgotten */
    held = lane_find(lane, id);
    if (held && !held->gone)
        return false;
    return registry_find(&lane->runner->registry, PQgetvalue(rows, row, ROW_KIND)) &&
           !row_runs_elsewhere(lane, rows, row, id);
}
