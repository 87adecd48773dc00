#include "queue/notify.h"

#include "base/log.h"
#include "queue/dispatch.h"
#include "queue/handover.h"
#include "queue/lease.h"
#include "queue/runner_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Waiting: it is not started. Running: its handler is told. Claimed rows of ours were kept by
 * errand.cancel. */
static void notify_cancel(struct lane *lane, int64_t id)
{
    struct entry *entry = lane_find(lane, id);
    if (!entry || entry->gone) {
        limit_ended_id(lane, id);
    } else if (entry->in_heap.place) {
        limit_ended(entry);
        lane_drop(lane, entry);
        dispatch_schedule(lane->runner);
    } else if (entry->state == ENTRY_RUNNING) {
        dispatch_cancel(entry->job);
    }
}

/* Another runner, which had handed the lane over, has ended a job of it. */
static void notify_ended(struct lane *lane, int64_t id)
{
    struct entry *entry = lane_find(lane, id);
    if (entry && entry->state == ENTRY_ELSEWHERE && !entry->gone)
        lane_drop(lane, entry);
    limit_ended_id(lane, id);
    dispatch_schedule(lane->runner);
}

/* Waiting: it is read again in its new form. What runs is found out when it ends. */
static void notify_changed(struct lane *lane, int64_t id)
{
    struct entry *entry = lane_find(lane, id);
    if (!entry || entry->gone || !entry->in_heap.place)
        return;
    int64_t run_at_us = entry->run_at_us;
    lane_drop(lane, entry);
    lane_look(lane, run_at_us);
}

void notify_on_message(const char *channel, const char *payload, void *owner)
{
    struct runner *runner = owner;
    int64_t number, what;
    struct lane *lane;
    (void)channel;
    if (strcmp(payload, "queue") == 0) {
        lease_on_settings(runner);
    } else if (strcmp(payload, "wanted") == 0 || strcmp(payload, "free") == 0) {
        lease_beat(runner);
    } else if (strcmp(payload, "schedule") == 0) {
        schedule_on_notify(runner);
    } else if (sscanf(payload, "lane %" SCNd64 " %" SCNd64, &number, &what) == 2) {
        if ((lane = runner_lane(runner, (int)number)))
            lane_on_notify(lane, what);
    } else if (sscanf(payload, "cancel %" SCNd64 " %" SCNd64, &number, &what) == 2) {
        if ((lane = runner_lane(runner, (int)number)))
            notify_cancel(lane, what);
        handover_cancel(runner, (int)number, what);
    } else if (sscanf(payload, "ended %" SCNd64 " %" SCNd64, &number, &what) == 2) {
        if ((lane = runner_lane(runner, (int)number)))
            notify_ended(lane, what);
    } else if (sscanf(payload, "changed %" SCNd64 " %" SCNd64, &number, &what) == 2) {
        if ((lane = runner_lane(runner, (int)number)))
            notify_changed(lane, what);
    } else {
        log_event(LOG_WARN, "notification not understood", "payload", payload, NULL);
    }
}
