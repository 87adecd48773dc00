#include "queue/progress.h"

#include "base/log.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <string.h>

enum {
    PROGRESS_TIMEOUT_MS = 10000,
    PROGRESS_BYTES = 8 << 20, /* of one batch, about */
    PROGRESS_EVERY_US = 1000000,
    PROGRESS_CLAIM_US = 250000 /* look again whether the claims that it waits for have come */
};

static void progress_flush(void *owner);

void progress_init(struct runner *runner)
{
    loop_timer_init(&runner->progress.timer, &runner->loop, progress_flush, runner);
    runner->progress.written_us = INT64_MIN / 2;
}

void progress_schedule(struct runner *runner)
{
    int64_t now_us = clock_mono_us(), next_us = runner->progress.written_us + PROGRESS_EVERY_US;
    if (!runner->progress.under_way)
        loop_timer_set_least(&runner->progress.timer, next_us > now_us ? next_us : now_us);
}

/* What a unit wrote, to be written again if it failed. */
struct progressing {
    struct runner *runner;
    size_t count;
    struct {
        struct lane *lane;
        int64_t id;
    } jobs[];
};

static void progress_on_done(struct db_unit *unit, void *owner)
{
    struct progressing *progressing = owner;
    struct runner *runner = progressing->runner;
    bool again = unit->err.code != ERR_NONE && unit->err.code != ERR_PERMANENT;
    runner->progress.under_way = false;
    if (unit->err.code != ERR_NONE)
        log_event(LOG_WARN, "writing progress failed", "error", unit->err.text, NULL);
    for (size_t i = 0; i < progressing->count; i++) {
        struct lane *lane = progressing->jobs[i].lane;
        const struct entry *entry = lane_find(lane, progressing->jobs[i].id);
        lane->claiming--;
        if (again && entry && entry->state == ENTRY_RUNNING)
            entry->job->progress_is_new = true;
    }
    progress_schedule(runner);
}

static void lane_add_progress(struct lane *lane, struct db_unit *unit, const struct entry *list)
{
    struct params params = {.count = 0};
    params_add_int(&params, lane->number);
    params_add_text(&params, lane->runner->id_text);
    struct buf *buf = params_open_array(&params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry->id);
    params_close_array(&params);
    buf = params_open_array(&params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry->attempt);
    params_close_array(&params);
    buf = params_open_array(&params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_text(buf, entry->job->progress);
    params_close_array(&params);
    params_add_to(&params, unit, QUEUE_SQL_JOB_PROGRESS, false);
    params_clear(&params);
}

/* Puts those that can be written into the lane's list; *waits: others are not claimed yet, or more
 * than goes at once. */
static size_t lane_list_progress(struct lane *lane, size_t *bytes, bool *waits)
{
    size_t count = 0;
    for (struct entry *entry = lane->held; entry; entry = entry->hh.next) {
        if (entry->gone || entry->state != ENTRY_RUNNING || !entry->job->progress_is_new)
            continue;
        if (!entry->claimed || entry->claim_under_way || *bytes >= PROGRESS_BYTES) {
            *waits = true;
            continue;
        }
        *bytes += strlen(entry->job->progress);
        lane_list(lane, entry);
        count++;
    }
    return count;
}

static void lane_take_progress(struct lane *lane, struct db_unit *unit)
{
    struct progressing *progressing = unit->owner;
    struct entry *list = lane_list_take(lane);
    if (!list)
        return;
    lane_add_progress(lane, unit, list);
    for (struct entry *entry = list; entry; entry = entry->next) {
        entry->job->progress_is_new = false;
        progressing->jobs[progressing->count].lane = lane;
        progressing->jobs[progressing->count++].id = entry->id;
        lane->claiming++;
    }
}

static void progress_flush(void *owner)
{
    struct runner *runner = owner;
    size_t count = 0, bytes = 0;
    bool waits = false;
    if (runner->progress.under_way)
        return;
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        count += lane_list_progress(lane, &bytes, &waits);
    if (waits)
        loop_timer_set(&runner->progress.timer, clock_mono_us() + PROGRESS_CLAIM_US);
    if (!count)
        return;
    struct db_unit *unit = db_unit_new(DB_PLAIN, progress_on_done, NULL);
    struct progressing *progressing =
        arena_zalloc(&unit->arena, sizeof *progressing + count * sizeof progressing->jobs[0]);
    progressing->runner = runner;
    unit->owner = progressing;
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        lane_take_progress(lane, unit);
    runner->progress.under_way = true;
    runner->progress.written_us = clock_mono_us();
    db_pool_submit(&runner->writes, unit, PROGRESS_TIMEOUT_MS);
}
