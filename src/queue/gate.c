#include "queue/gate.h"

#include "base/clock.h"
#include "base/mem.h"
#include "queue/expiry.h"
#include "queue/lane.h"
#include "queue/limit_read.h"
#include "queue/runner_state.h"
#include "queue/workqueue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct gate *gate_from_opening(struct heap_item *item)
{
    return (struct gate *)(void *)((char *)item - offsetof(struct gate, in_opening));
}

bool gate_opens_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct gate *x =
        (const struct gate *)(const void *)((const char *)a - offsetof(struct gate, in_opening));
    const struct gate *y =
        (const struct gate *)(const void *)((const char *)b - offsetof(struct gate, in_opening));
    return x->open_at_us < y->open_at_us;
}

struct gate *gate_new(struct workqueue *queue, const char *key, bool ordered)
{
    size_t length = strlen(key);
    struct gate *gate = mem_zalloc(sizeof *gate + length + 1);
    gate->queue = queue;
    gate->ordered = ordered;
    gate->paused_until_us = INT64_MIN;
    gate->more_from_us = gate->open_at_us = INT64_MAX;
    heap_init(&gate->parked, ordered ? entry_is_created_before : entry_is_before);
    memcpy(gate->key, key, length + 1);
    return gate;
}

void gate_free(struct gate *gate)
{
    assert(gate->parked.count == 0 && !gate->entries);
    if (gate->in_opening.place)
        heap_remove(&gate->queue->limits.opening, &gate->in_opening);
    limit_read_forget(gate);
    heap_clear(&gate->parked);
    if (gate->kind)
        kind_release(gate->kind);
    free(gate);
}

bool gate_is_idle(struct gate *gate)
{
    return !gate->entries && gate->inside == 0 && !gate->more && !gate->reading &&
           bucket_is_full(&gate->bucket, clock_mono_us());
}

/* ---- Time ---- */

static void gate_look_at(struct gate *gate, int64_t mono_us)
{
    struct heap *opening = &gate->queue->limits.opening;
    if (gate->in_opening.place)
        heap_remove(opening, &gate->in_opening);
    gate->open_at_us = mono_us;
    if (mono_us != INT64_MAX)
        heap_push(opening, &gate->in_opening);
}

static bool gate_is_paused(const struct gate *gate)
{
    return gate->paused_until_us > clock_database_us(&gate->queue->runner->clock);
}

/* When time alone opens it; INT64_MAX when it is not time that keeps it shut. */
static int64_t gate_next_us(struct gate *gate, int64_t now_us)
{
    if (gate_is_paused(gate))
        return gate->paused_until_us == INT64_MAX
                   ? INT64_MAX
                   : clock_database_to_mono_us(&gate->queue->runner->clock, gate->paused_until_us);
    if (bucket_allows(&gate->bucket, (double)gate->offered, now_us))
        return INT64_MAX;
    return bucket_next_us(&gate->bucket, (double)gate->offered);
}

bool gate_admits(struct gate *gate, const struct entry *entry)
{
    if (gate->limit && gate->inside + gate->offered >= gate->limit)
        return false;
    if (gate->ordered && (gate->inside || entry->after_id))
        return false;
    return !gate_is_paused(gate) &&
           bucket_allows(&gate->bucket, (double)gate->offered, clock_mono_us());
}

/* ---- Parking ---- */

void gate_park(struct gate *gate, struct entry *entry)
{
    /* While some are left out, only what is read for the gate is in its turn. */
    bool is_left_out = gate->more || gate->reading || gate->parked.count >= GATE_PARKED_MAX;
    if (is_left_out && !entry->read_for_gate) {
        gate->more = true;
        if (entry->run_at_us < gate->more_from_us)
            gate->more_from_us = entry->run_at_us;
        lane_leave_out(entry->lane, entry);
        return;
    }
    entry->state = ENTRY_PARKED;
    entry->parked_in = gate;
    heap_push(&gate->parked, &entry->in_heap);
    expiry_add(gate->queue, entry);
    if (!gate->in_opening.place)
        gate_look_at(gate, gate_next_us(gate, clock_mono_us()));
}

void gate_remove(struct gate *gate, struct entry *entry)
{
    heap_remove(&gate->parked, &entry->in_heap);
    expiry_remove(gate->queue, entry);
    entry->parked_in = NULL;
}

static void gate_offer(struct gate *gate, struct entry *entry)
{
    gate_remove(gate, entry);
    entry->offered_by = gate;
    gate->offered++;
    workqueue_add(gate->queue, entry);
}

void gate_on_offered_gone(struct entry *entry)
{
    if (!entry->offered_by)
        return;
    entry->offered_by->offered--;
    entry->offered_by = NULL;
}

void gate_kick(struct gate *gate)
{
    bool admits = true;
    for (struct heap_item *top; (top = heap_top(&gate->parked));) {
        struct entry *entry = entry_from_heap(top);
        admits = gate_admits(gate, entry);
        if (!admits)
            break;
        gate_offer(gate, entry);
    }
    gate_look_at(gate, gate->parked.count ? gate_next_us(gate, clock_mono_us()) : INT64_MAX);
    bool few = gate->parked.count < GATE_PARKED_LOW ||
               (gate->ordered && !gate->inside && !gate->offered); /* the first one is not here */
    if (gate->more && few && !gate_is_paused(gate))
        limit_read_gate(gate);
}
