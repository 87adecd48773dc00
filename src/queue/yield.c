#include "queue/yield.h"

#include "base/clock.h"
#include "base/log.h"
#include "queue/handover.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <inttypes.h>
#include <stdio.h>

enum { YIELD_TIMEOUT_MS = 5000, YIELD_AFTER_US = 1000000 };

void yield_note(struct lane *lane, const char *kind)
{
    if (!lane->unknown_kind[0])
        snprintf(lane->unknown_kind, sizeof lane->unknown_kind, "%s", kind);
}

static void lane_yield(struct lane *lane, int64_t runner_id)
{
    log_event(LOG_INFO, "lane goes to a runner that knows its jobs", "lane", log_int(lane->number),
              "runner", log_int(runner_id), NULL);
    for (struct lane *each = lane->runner->lanes; each; each = each->next)
        if (each == lane || (each->queue == lane->queue && lane->queue->limits.config.whole))
            each->yield_to = runner_id;
    handover_start(lane);
}

static void on_found(struct db_unit *unit, void *owner)
{
    struct lane *lane = owner;
    lane->yielding = false;
    if (unit->err.code != ERR_NONE || lane->lost || lane->leaving ||
        lane->runner->phase != RUNNER_RUNNING || PQntuples(db_unit_result(unit, 0)) == 0)
        return; /* the next pass finds the job again */
    lane_yield(lane, db_get_int(db_unit_result(unit, 0), 0, 0));
}

void yield_check(struct lane *lane)
{
    char number[16];
    if (!lane->unknown_kind[0] || lane->yielding || lane->lost || lane->leaving)
        return;
    int64_t due_us = lane->acquired_us + YIELD_AFTER_US;
    if (clock_mono_us() < due_us) { /* read again then: it keeps the lane for a while first */
        lane->pass_at_us = due_us < lane->pass_at_us ? due_us : lane->pass_at_us;
        lane_read_at_least(lane, lane->pass_at_us);
    } else if (lane->queue->runners > 1) {
        snprintf(number, sizeof number, "%d", lane->number);
        const char *params[] = {number, lane->runner->id_text, lane->unknown_kind};
        struct db_unit *unit = db_unit_new(DB_PLAIN, on_found, lane);
        db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_RUNNER_FOR_KIND], 3, params);
        lane->yielding = true;
        db_pool_submit(&lane->runner->control, unit, YIELD_TIMEOUT_MS);
    }
    lane->unknown_kind[0] = '\0';
}
