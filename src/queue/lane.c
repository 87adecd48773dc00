/* Of the held entries: ids come one after the other, so that a multiplication spreads them. With
 * long chains each look would cost a cache miss an entry. */
#define HASH_FUNCTION(key, length, hash)                                                           \
    do {                                                                                           \
        uint64_t number;                                                                           \
        static_assert(sizeof *(key) == sizeof number, "hashed by id");                             \
        memcpy(&number, key, sizeof number);                                                       \
        (hash) = (unsigned)((number * UINT64_C(0x9E3779B97F4A7C15)) >> 32);                        \
    } while (0)

#include "queue/lane.h"

#include "base/clock.h"
#include "base/mem.h"
#include "queue/limit.h"
#include "queue/reader.h"
#include "queue/runner_state.h"
#include "queue/workqueue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 3U

enum {
    LANE_CAUTIOUS_ROWS = 8192, /* no runner holds more of a lane */
    /* Commits with NOTIFY go one after the other: too many of a busy lane's would hold all up. */
    NOTIFY_MAX_PER_SECOND = 20
};

static void lane_rewind(struct lane *lane)
{
    for (int i = 0; i < LANE_CLASSES; i++)
        lane->classes[i] = (struct lane_class){.cursor_us = INT64_MIN, .cursor_id = INT64_MIN};
    lane->later_us = INT64_MIN;
    lane->pass_every_us = READER_PASS_FIRST_US;
    lane->pass_at_us = clock_mono_us();
    lane->read_at_us = clock_mono_us();
}

struct lane *lane_new(struct runner *runner, struct workqueue *queue, int number, int64_t epoch,
                      bool crashed)
{
    struct lane *lane = mem_zalloc(sizeof *lane);
    lane->runner = runner;
    lane->queue = queue;
    lane->number = number;
    lane->epoch = epoch;
    lane->acquired_us = clock_mono_us();
    lane->crashed = crashed;
    lane->limit = reader_limit_least(lane, READER_LIMIT_FIRST);
    lane->limit_most = READER_LIMIT_MAX;
    lane->cautious_left = crashed ? LANE_CAUTIOUS_ROWS : 0;
    lane->look_us = INT64_MAX;
    lane->idle_at_us = INT64_MAX;
    lane_rewind(lane);
    return lane;
}

void lane_restart(struct lane *lane)
{
    lane_drop_waiting(lane);
    lane->counted = false;
    if (lane->lost || lane->leaving)
        return;
    lane_rewind(lane);
    if (lane->reading) /* what it brings was asked for before */
        lane->look_us = INT64_MIN;
    reader_schedule(lane->runner);
}

void lane_free(struct lane *lane)
{
    struct entry *entry, *next;
    HASH_ITER(hh, lane->held, entry, next)
    {
        HASH_DEL(lane->held, entry);
        if (entry->in_heap.place)
            workqueue_remove(lane->queue, entry);
        limit_forget(entry);
        entry_free(entry);
    }
    free(lane);
}

struct entry *lane_find(const struct lane *lane, int64_t id)
{
    struct entry *entry;
    HASH_FIND(hh, lane->held, &id, sizeof id, entry);
    return entry;
}

void lane_hold(struct lane *lane, struct entry *entry)
{
    HASH_ADD(hh, lane->held, id, sizeof entry->id, entry);
    limit_hold(entry);
    workqueue_add(lane->queue, entry);
}

void lane_hold_elsewhere(struct lane *lane, struct entry *entry)
{
    HASH_ADD(hh, lane->held, id, sizeof entry->id, entry);
    lane->elsewhere++;
    limit_enter_elsewhere(entry);
}

void lane_drop(struct lane *lane, struct entry *entry)
{
    if (entry->in_heap.place)
        workqueue_remove(lane->queue, entry);
    lane->elsewhere -= entry->state == ENTRY_ELSEWHERE;
    limit_forget(entry);
    if (lane->reading) {
        entry->gone = true;
        entry->next = lane->gone;
        lane->gone = entry;
        return;
    }
    HASH_DEL(lane->held, entry);
    entry_free(entry);
}

void lane_leave_out(struct lane *lane, struct entry *entry)
{
    limit_forget(entry);
    HASH_DEL(lane->held, entry);
    entry_free(entry);
}

void lane_drop_gone(struct lane *lane)
{
    while (lane->gone && !lane->reading) {
        struct entry *entry = lane->gone;
        lane->gone = entry->next;
        HASH_DEL(lane->held, entry);
        entry_free(entry);
    }
}

void lane_drop_waiting(struct lane *lane)
{
    struct entry *entry, *next;
    lane->read_at_us = INT64_MAX;
    HASH_ITER(hh, lane->held, entry, next)
    {
        if (!entry->gone && (entry->in_heap.place || entry->state == ENTRY_ELSEWHERE))
            lane_drop(lane, entry);
    }
}

void lane_lose(struct lane *lane)
{
    lane->lost = true;
    lane_drop_waiting(lane);
}

bool lane_wants_more(const struct lane *lane)
{
    for (int i = 0; i < LANE_CLASSES; i++)
        if (lane->classes[i].more)
            return true;
    return false;
}

bool lane_is_over(const struct lane *lane)
{
    return lane->lost && !lane->held && !lane->reading && !lane->arming && !lane->releasing &&
           !lane->claiming && !lane->yielding;
}

bool lane_list(struct lane *lane, struct entry *entry)
{
    bool first = !lane->listed;
    if (first)
        lane->listed_last = &lane->listed;
    entry->next = NULL;
    *lane->listed_last = entry;
    lane->listed_last = &entry->next;
    return first;
}

struct entry *lane_list_take(struct lane *lane)
{
    struct entry *first = lane->listed;
    lane->listed = NULL;
    return first;
}

void lane_read_at_least(struct lane *lane, int64_t mono_us)
{
    if (lane->lost || lane->leaving)
        return;
    if (mono_us < lane->read_at_us)
        lane->read_at_us = mono_us;
    reader_schedule(lane->runner);
}

void lane_look(struct lane *lane, int64_t run_at_us)
{
    lane_look_after(lane, run_at_us, clock_mono_us());
}

void lane_look_after(struct lane *lane, int64_t run_at_us, int64_t mono_us)
{
    /* The read under way moves the cursors when it returns: asked again then. */
    if (lane->reading && run_at_us < lane->look_us)
        lane->look_us = run_at_us;
    for (int i = 0; i < LANE_CLASSES; i++) {
        struct lane_class *class = &lane->classes[i];
        if (class->cursor_us >= run_at_us) {
            class->cursor_us = run_at_us;
            class->cursor_id = INT64_MIN;
        }
    }
    int64_t due_us = run_at_us == INT64_MIN /* from the beginning */
                         ? mono_us
                         : clock_database_to_mono_us(&lane->runner->clock, run_at_us);
    lane_read_at_least(lane, due_us - READER_LEAD_US > mono_us ? due_us - READER_LEAD_US : mono_us);
}

void lane_on_notify(struct lane *lane, int64_t run_at_us)
{
    int64_t now_us = clock_mono_us();
    if (now_us - lane->notify_window_us > 1000000) {
        lane->notify_window_us = now_us;
        lane->notify_count = 0;
    }
    lane->notify_count++;
    lane_look(lane, run_at_us);
    if (lane->armed && !lane->arming && lane->notify_count > NOTIFY_MAX_PER_SECOND)
        reader_arm(lane, false);
}
