#include "queue/handover.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "queue/dispatch.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <inttypes.h>
#include <stdio.h>

enum { HANDOVER_TIMEOUT_MS = 5000 };

/* Everything held is written down as running (or only waits to be forgotten). */
static bool lane_is_written_down(const struct lane *lane)
{
    for (const struct entry *entry = lane->held; entry; entry = entry->hh.next) {
        bool running = entry->state == ENTRY_RUNNING && entry->claimed && !entry->claim_under_way;
        if (!entry->gone && !running)
            return false;
    }
    return true;
}

static void on_released(struct db_unit *unit, void *owner)
{
    struct lane *lane = owner;
    struct runner *runner = lane->runner;
    lane->releasing = false;
    if (unit->err.code != ERR_NONE) {
        log_event(LOG_WARN, "releasing a lane failed, trying again", "lane", log_int(lane->number),
                  "error", unit->err.text, NULL);
        loop_timer_set_least(&runner->claim.lazy, clock_mono_us() + 100000);
        return;
    }
    log_event(LOG_INFO, "lane released", "lane", log_int(lane->number), "queue", lane->queue->name,
              NULL);
    lane_lose(lane);
    dispatch_schedule(runner);
}

void handover_add_release(const struct lane *lane, struct db_unit *unit)
{
    char number[16], epoch[24], tokens[40], yield_to[24];
    snprintf(number, sizeof number, "%d", lane->number);
    snprintf(epoch, sizeof epoch, "%" PRId64, lane->epoch);
    snprintf(tokens, sizeof tokens, "%.6f", bucket_tokens(&lane->queue->bucket, clock_mono_us()));
    snprintf(yield_to, sizeof yield_to, "%" PRId64, lane->yield_to);
    const char *params[] = {number, epoch, tokens, lane->yield_to ? yield_to : NULL};
    db_unit_add(unit, &queue_sql[QUEUE_SQL_LANE_RELEASE], 4, params);
}

static void lane_release(struct lane *lane)
{
    const char *others[] = {lane->runner->id_text};
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_released, lane);
    handover_add_release(lane, unit);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_RUNNERS_TELL_FREE], 1, others);
    lane->releasing = true;
    db_pool_submit(&lane->runner->control, unit, HANDOVER_TIMEOUT_MS);
}

void handover_check(struct runner *runner)
{
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        if (lane->leaving && !lane->lost && !lane->releasing && lane_is_written_down(lane))
            lane_release(lane);
}

static void lane_leave(struct lane *lane)
{
    if (lane->leaving || lane->lost)
        return;
    lane->leaving = true;
    lane_drop_waiting(lane);
    claim_hurry(lane->runner);
}

static void queue_leave(struct workqueue *queue)
{
    for (struct lane *lane = queue->runner->lanes; lane; lane = lane->next)
        if (lane->queue == queue)
            lane_leave(lane);
}

void handover_start(struct lane *lane)
{
    if (lane->queue->limits.config.whole)
        queue_leave(lane->queue);
    else
        lane_leave(lane);
    handover_check(lane->runner);
}

void handover_start_all(struct runner *runner)
{
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        lane_leave(lane);
    handover_check(runner);
}

void handover_check_whole(struct workqueue *queue)
{
    bool any = false;
    if (!queue->limits.config.whole)
        return;
    for (const struct lane *lane = queue->runner->lanes; lane; lane = lane->next) {
        if (lane->queue != queue || lane->lost || lane->leaving)
            continue;
        if (lane->shard == 0)
            return;
        any = true;
    }
    if (!any)
        return;
    queue_leave(queue);
    handover_check(queue->runner);
}

/* ---- What runs on in lanes of others ---- */

void handover_cancel(struct runner *runner, int number, int64_t id)
{
    for (struct lane *lane = runner->lanes; lane; lane = lane->next) {
        struct entry *entry = lane->number == number && lane->lost ? lane_find(lane, id) : NULL;
        if (entry && entry->state == ENTRY_RUNNING && !entry->gone && !entry->job->cancelled)
            dispatch_cancel(entry->job);
    }
}

static void on_cancelled(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    runner->asking_cancelled = false;
    if (unit->err.code != ERR_NONE)
        return; /* asked again with the next beat */
    for (size_t i = 0; i < unit->count; i++) {
        const PGresult *rows = db_unit_result(unit, i);
        int count = PQntuples(rows);
        for (int row = 0; row < count; row++)
            handover_cancel(runner, (int)db_get_int(rows, row, 0), db_get_int(rows, row, 1));
    }
}

static void unit_add_asked(struct db_unit *unit, const struct lane *lane)
{
    char number[16];
    struct buf ids;
    bool any = false;
    buf_init(&ids, 0);
    buf_array_open(&ids);
    for (const struct entry *entry = lane->held; entry; entry = entry->hh.next)
        if (entry->state == ENTRY_RUNNING && !entry->gone && !entry->job->cancelled) {
            buf_array_int(&ids, entry->id);
            any = true;
        }
    buf_array_close(&ids);
    snprintf(number, sizeof number, "%d", lane->number);
    const char *params[] = {number, buf_text(&ids)};
    if (any)
        db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANE_CANCELLED], 2, params);
    buf_clear(&ids);
}

void handover_ask_cancelled(struct runner *runner)
{
    if (runner->asking_cancelled)
        return;
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_cancelled, runner);
    for (const struct lane *lane = runner->lanes; lane; lane = lane->next)
        if (lane->lost)
            unit_add_asked(unit, lane);
    runner->asking_cancelled = unit->count > 0;
    if (unit->count > 0)
        db_pool_submit(&runner->control, unit, HANDOVER_TIMEOUT_MS);
    else
        db_unit_free(unit);
}
