#include "queue/dependents.h"

#include "base/log.h"
#include "base/mem.h"
#include "queue/dispatch.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPENDENTS_TIMEOUT_MS = 30000,
    DEPENDENTS_PAUSE_US = 100000, /* doubles with each failure */
    DEPENDENTS_PAUSE_MAX_US = 5000000
};

static void dependents_flush(void *owner);

void dependents_init(struct runner *runner)
{
    loop_timer_init(&runner->dependents.timer, &runner->loop, dependents_flush, runner);
}

void dependents_clear(struct runner *runner)
{
    free(runner->dependents.lanes);
}

bool dependents_are_told(const struct runner *runner)
{
    return runner->dependents.count == 0;
}

void dependents_release(struct runner *runner, int lane)
{
    struct dependents *dependents = &runner->dependents;
    /* One that is under way may not see what was marked since. */
    for (size_t i = dependents->under_way; i < dependents->count; i++)
        if (dependents->lanes[i] == lane)
            return;
    if (dependents->count == dependents->capacity) {
        dependents->capacity = 2 * dependents->capacity + 16;
        dependents->lanes =
            mem_resize(dependents->lanes, dependents->capacity * sizeof *dependents->lanes);
    }
    dependents->lanes[dependents->count++] = lane;
    if (!dependents->under_way)
        loop_timer_set_least(&dependents->timer, clock_mono_us() + dependents->pause_us);
}

static void dependents_on_done(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    struct dependents *dependents = &runner->dependents;
    int lane = dependents->lanes[0];
    dependents->under_way = false;
    dependents->count--;
    memmove(dependents->lanes, dependents->lanes + 1, dependents->count * sizeof lane);
    if (unit->err.code == ERR_NONE) {
        dependents->pause_us = 0;
    } else {
        log_event(runner->away_since_us ? LOG_DEBUG : LOG_WARN,
                  "telling jobs that wait for others failed, trying again", "lane", log_int(lane),
                  "error", unit->err.text, NULL);
        dependents->pause_us =
            dependents->pause_us ? 2 * dependents->pause_us : DEPENDENTS_PAUSE_US;
        if (dependents->pause_us > DEPENDENTS_PAUSE_MAX_US)
            dependents->pause_us = DEPENDENTS_PAUSE_MAX_US;
        dependents_release(runner, lane);
    }
    if (dependents->count)
        loop_timer_set(&dependents->timer, clock_mono_us() + dependents->pause_us);
    else if (runner->phase == RUNNER_STOPPING)
        dispatch_schedule(runner);
}

/* One lane at a time, each in a transaction of its own: it takes the locks of all that wait. */
static void dependents_flush(void *owner)
{
    struct runner *runner = owner;
    struct dependents *dependents = &runner->dependents;
    char number[16];
    if (!dependents->count || dependents->under_way)
        return;
    struct db_unit *unit = db_unit_new(DB_PLAIN, dependents_on_done, runner);
    snprintf(number, sizeof number, "%d", dependents->lanes[0]);
    const char *params[] = {number};
    db_unit_add(unit, &queue_sql[QUEUE_SQL_DEPENDENTS_RELEASE], 1, params);
    dependents->under_way = true;
    db_pool_submit(&runner->writes, unit, DEPENDENTS_TIMEOUT_MS);
}
