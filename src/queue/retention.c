#include "queue/retention.h"

#include "base/log.h"
#include "config/settings.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <stdio.h>

enum {
    BATCH = 500,
    TIMEOUT_MS = 30000,
    FIRST_US = 2000000,
    NEXT_US = 100000, /* between batches: completions want the same connections */
    AGAIN_US = 300000000,
    SETTLE_EVERY_US = 60000000
};

static const int64_t EVERY_US = INT64_C(3600) * 1000000;

/* ---- What became of events ---- */

static void on_settled(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    int64_t wait_us = SETTLE_EVERY_US;
    if (unit->err.code == ERR_CANCELLED)
        return;
    if (unit->err.code != ERR_NONE)
        log_event(LOG_WARN, "looking what became of webhooks failed", "error", unit->err.text,
                  NULL);
    else if (db_get_int(db_unit_result(unit, 0), 0, 0) == BATCH)
        wait_us = NEXT_US;
    loop_timer_set(&runner->retention.settle, clock_mono_us() + wait_us);
}

static void on_settle(void *owner)
{
    struct runner *runner = owner;
    char batch[24];
    const char *const params[] = {batch};
    if (runner->phase != RUNNER_RUNNING) {
        loop_timer_set(&runner->retention.settle, clock_mono_us() + FIRST_US);
        return;
    }
    snprintf(batch, sizeof batch, "%d", BATCH);
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_settled, runner);
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_WEBHOOK_SETTLE], 1, params);
    db_pool_submit(&runner->work, unit, TIMEOUT_MS);
}

/* ---- Removing them ---- */

static void on_forgotten(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    int64_t wait_us = EVERY_US;
    if (unit->err.code == ERR_CANCELLED)
        return;
    if (unit->err.code != ERR_NONE) {
        log_event(LOG_WARN, "removing old webhooks failed", "error", unit->err.text, NULL);
        wait_us = AGAIN_US;
    } else if (db_get_int(db_unit_result(unit, 0), 0, 0) == BATCH) {
        wait_us = NEXT_US;
    }
    loop_timer_set(&runner->retention.timer, clock_mono_us() + wait_us);
}

static void on_timer(void *owner)
{
    struct runner *runner = owner;
    char settled[24], open[24], batch[24];
    const char *const params[] = {settled, open, batch};
    if (runner->phase != RUNNER_RUNNING) {
        loop_timer_set(&runner->retention.timer, clock_mono_us() + FIRST_US);
        return;
    }
    snprintf(settled, sizeof settled, "%lld",
             settings_integer(runner->settings, "errand", "webhook_keep_days"));
    snprintf(open, sizeof open, "%lld",
             settings_integer(runner->settings, "errand", "webhook_keep_open_days"));
    snprintf(batch, sizeof batch, "%d", BATCH);
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_forgotten, runner);
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_WEBHOOK_FORGET], 3, params);
    db_pool_submit(&runner->work, unit, TIMEOUT_MS);
}

void retention_init(struct runner *runner)
{
    loop_timer_init(&runner->retention.settle, &runner->loop, on_settle, runner);
    loop_timer_set(&runner->retention.settle, clock_mono_us() + FIRST_US);
    loop_timer_init(&runner->retention.timer, &runner->loop, on_timer, runner);
    loop_timer_set(&runner->retention.timer, clock_mono_us() + FIRST_US);
}
