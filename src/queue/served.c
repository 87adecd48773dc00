#include "queue/served.h"

#include "base/buf.h"
#include "base/log.h"
#include "queue/lane.h"
#include "queue/lease.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <stdlib.h>

enum { SERVED_TIMEOUT_MS = 5000 };

static void served_set(struct runner *runner)
{
    const struct registry *registry = &runner->registry;
    struct buf array;
    buf_init(&array, 0);
    buf_array_open(&array);
    for (size_t i = 0; i < registry->count; i++)
        if (registry->kinds[i])
            buf_array_text(&array, registry->kinds[i]->name);
    buf_array_close(&array);
    free(runner->kinds);
    runner->kinds = buf_steal(&array);
}

void served_init(struct runner *runner)
{
    served_set(runner);
    kind_settings_init(&runner->kind_settings, &runner->registry);
}

void served_clear(struct runner *runner)
{
    kind_settings_clear(&runner->kind_settings);
    free(runner->kinds);
}

/* ---- The database ---- */

static void unit_add_kinds(struct db_unit *unit, const struct registry *registry)
{
    struct buf names, queues, attempts, timeouts, lanes;
    struct buf *bufs[] = {&names, &queues, &attempts, &timeouts, &lanes};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) {
        buf_init(bufs[i], 0);
        buf_array_open(bufs[i]);
    }
    for (size_t i = 0; i < registry->count; i++) {
        const struct kind *kind = registry->kinds[i];
        if (!kind)
            continue;
        buf_array_text(&names, kind->name);
        buf_array_text(&queues, kind->queue);
        buf_array_int(&attempts, kind->max_attempts);
        buf_array_int(&timeouts, kind->timeout_ms);
        buf_array_int(&lanes, kind->queue_lanes);
    }
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_array_close(bufs[i]);
    const char *missing[] = {buf_text(&queues), buf_text(&lanes)};
    const char *params[] = {buf_text(&names), buf_text(&queues), buf_text(&attempts),
                            buf_text(&timeouts)};
    db_unit_add(unit, &queue_sql[QUEUE_SQL_QUEUES_MISSING], 2, missing);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_KINDS_REGISTER], 4, params);
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_clear(bufs[i]);
}

void served_add(struct runner *runner, struct db_unit *unit)
{
    runner->served.untold = false;
    unit_add_kinds(unit, &runner->registry);
}

static void on_told(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    runner->served.telling = false;
    if (unit->err.code != ERR_NONE) { /* the next beat tells it again */
        log_event(runner->away_since_us ? LOG_DEBUG : LOG_WARN,
                  "telling the database of changed kinds failed", "error", unit->err.text, NULL);
        runner->served.untold = true;
        /* What it will not take must not keep the jobs of all other kinds. */
        runner->served.refused = unit->err.code == ERR_CONFIG || unit->err.code == ERR_PERMANENT;
        lease_settings_read(runner);
        return;
    }
    runner->served.refused = false;
    kind_settings_take(runner, db_unit_result(unit, unit->count - 1));
    lease_beat(runner); /* queues may have been made */
    served_tell(runner);
    lease_settings_read(runner);
}

void served_tell(struct runner *runner)
{
    if (!runner->served.untold || runner->served.telling || !runner->id ||
        runner->phase != RUNNER_RUNNING)
        return;
    const char *params[] = {runner->id_text, runner->kinds};
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_told, runner);
    runner->served.telling = true;
    served_add(runner, unit);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_RUNNER_KINDS], 2, params);
    kind_settings_add(unit, runner); /* the last: on_told takes it */
    db_pool_submit(&runner->control, unit, SERVED_TIMEOUT_MS);
}

bool served_is_told(const struct runner *runner)
{
    bool to_be_told = runner->served.untold && !runner->served.refused;
    return !to_be_told && !runner->served.telling;
}

/* ---- A change ---- */

void served_change(struct runner *runner)
{
    served_set(runner);
    kind_settings_grow(&runner->kind_settings, &runner->registry);
    limit_configure_kinds(runner);
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        lane_restart(lane);
    runner->lease.stale = true;
    runner->served.untold = true;
    served_tell(runner);
}
