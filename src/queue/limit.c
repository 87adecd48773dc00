#include "queue/limit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "queue/lane.h"
#include "queue/limit_read.h"
#include "queue/reader.h"
#include "queue/runner_state.h"
#include "queue/spread.h"
#include "queue/workqueue.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Room for kinds that have come. */
static void limit_grow(struct workqueue *queue)
{
    size_t count = queue->runner->registry.count;
    struct limits *limits = &queue->limits;
    if (limits->kind_count == count)
        return;
    limits->set = mem_resize(limits->set, count * sizeof *limits->set);
    limits->kinds = mem_resize(limits->kinds, count * sizeof(struct gate *));
    for (size_t i = limits->kind_count; i < count; i++) {
        limits->set[i] = (struct limit_kind){.paused_until_us = INT64_MIN};
        limits->kinds[i] = NULL;
    }
    limits->kind_count = count;
}

void limit_init(struct workqueue *queue)
{
    queue->limits = (struct limits){0};
    limit_grow(queue);
    struct limits *limits = &queue->limits;
    heap_init(&limits->opening, gate_opens_before);
}

static void limit_free_gates(struct workqueue *queue)
{
    struct limits *limits = &queue->limits;
    struct gate *gate, *next;
    for (size_t i = 0; i < limits->kind_count; i++) {
        if (limits->kinds[i])
            gate_free(limits->kinds[i]);
        limits->kinds[i] = NULL;
    }
    HASH_ITER(hh, limits->keys, gate, next)
    {
        HASH_DEL(limits->keys, gate);
        gate_free(gate);
    }
}

void limit_clear(struct workqueue *queue)
{
    limit_free_gates(queue);
    heap_clear(&queue->limits.opening);
    free(queue->limits.set);
    free(queue->limits.kinds);
}

/* ---- Settings ---- */

static bool config_limits_keys(const struct limit_config *config)
{
    return config->key_concurrency || config->key_rate > 0 || config->key_ordered;
}

static bool limits_count(const struct limits *limits)
{
    const struct limit_config *config = &limits->config;
    for (size_t i = 0; i < limits->kind_count; i++)
        if (limits->set[i].concurrency && !limits->set[i].is_own)
            return true;
    return config->concurrency || config->key_concurrency || config->key_ordered;
}

/* A gate that is new knows nothing of the starts before it: its bucket is empty, so that no more
 * than the burst goes in any case; unless the lane was never owned before. */
static struct gate *limit_key_gate(struct entry *entry)
{
    struct workqueue *queue = entry->lane->queue;
    const struct limit_config *config = &queue->limits.config;
    size_t length = strlen(entry->key);
    struct gate *gate = entry->gate;
    if (gate)
        return gate;
    HASH_FIND(hh, queue->limits.keys, entry->key, length, gate);
    if (!gate) {
        int64_t now_us = clock_mono_us(), since_us = now_us - entry->lane->acquired_us;
        gate = gate_new(queue, entry->key, config->key_ordered);
        gate->lane = entry->lane;
        gate->limit = (size_t)config->key_concurrency;
        bucket_set(&gate->bucket, config->key_rate, config->key_burst, now_us);
        if (entry->lane->epoch > 1)
            bucket_set_tokens(&gate->bucket, config->key_rate * (double)since_us / 1e6, now_us);
        HASH_ADD(hh, queue->limits.keys, key, length, gate);
    }
    DL_APPEND2(gate->entries, entry, gate_prev, gate_next);
    entry->gate = gate;
    return gate;
}

static void limit_make_kind_gates(struct workqueue *queue)
{
    struct limits *limits = &queue->limits;
    for (size_t i = 0; i < limits->kind_count; i++) {
        if (!limits->set[i].concurrency && limits->set[i].paused_until_us == INT64_MIN)
            continue;
        struct gate *gate = gate_new(queue, "", false);
        gate->kind = kind_hold(queue->runner->registry.kinds[i]);
        gate->limit = (size_t)limits->set[i].concurrency;
        gate->paused_until_us = limits->set[i].paused_until_us;
        limits->kinds[i] = gate;
    }
}

static void limit_forgo(struct entry *entry)
{
    if (entry->promised)
        bucket_forgo(&entry->gate->bucket);
    entry->promised = false;
}

/* Of what the queue's lanes hold, only what has started stays; it is counted again. */
static void limit_restart(struct workqueue *queue)
{
    struct lane *lane;
    struct entry *entry, *next;
    for (lane = queue->runner->lanes; lane; lane = lane->next) {
        if (lane->queue != queue)
            continue;
        lane_restart(lane);
        HASH_ITER(hh, lane->held, entry, next)
        {
            limit_leave(entry);
            limit_forget(entry);
        }
    }
}

static void limit_count_again(struct workqueue *queue)
{
    for (struct lane *lane = queue->runner->lanes; lane; lane = lane->next)
        for (struct entry *entry = lane->queue == queue ? lane->held : NULL; entry;
             entry = entry->hh.next) {
            if (entry->gone || entry->state < ENTRY_CLAIMING)
                continue;
            limit_enter(entry);
            if (entry->state != ENTRY_CLAIMING)
                limit_forgo(entry); /* it has started */
            if (entry->state == ENTRY_ENDED)
                limit_leave(entry);
        }
}

static bool config_is(const struct limit_config *a, const struct limit_config *b)
{
    return a->whole == b->whole && a->concurrency == b->concurrency &&
           a->key_concurrency == b->key_concurrency && a->key_rate == b->key_rate &&
           a->key_burst == b->key_burst && a->key_ordered == b->key_ordered;
}

static struct limit_kind limit_kind_told(const struct runner *runner, size_t number)
{
    const struct kind *kind = runner->registry.kinds[number];
    if (!kind)
        return (struct limit_kind){.paused_until_us = INT64_MIN};
    const struct kind_setting *setting = kind_settings_of(&runner->kind_settings, kind);
    bool is_own = !setting->concurrency && kind->concurrency;
    return (struct limit_kind){is_own ? kind->concurrency : setting->concurrency, is_own,
                               setting->paused_until_us};
}

static bool kinds_are_as_told(const struct workqueue *queue)
{
    for (size_t i = 0; i < queue->limits.kind_count; i++) {
        const struct limit_kind *set = &queue->limits.set[i];
        struct limit_kind told = limit_kind_told(queue->runner, i);
        if (set->concurrency != told.concurrency || set->is_own != told.is_own ||
            set->paused_until_us != told.paused_until_us)
            return false;
    }
    return true;
}

void limit_configure(struct workqueue *queue, const struct limit_config *config)
{
    struct limits *limits = &queue->limits;
    limit_grow(queue);
    workqueue_limit_rate(queue, config->rate, config->burst);
    if (config_is(&limits->config, config) && kinds_are_as_told(queue))
        return;
    limit_restart(queue);
    limit_free_gates(queue);
    limits->config = *config;
    for (size_t i = 0; i < limits->kind_count; i++)
        limits->set[i] = limit_kind_told(queue->runner, i);
    limits->counting = limits_count(limits);
    limit_make_kind_gates(queue);
    limit_count_again(queue);
}

void limit_configure_kinds(struct runner *runner)
{
    for (struct workqueue *queue = runner->workqueues; queue; queue = queue->next) {
        struct limit_config config = queue->limits.config;
        limit_configure(queue, &config);
    }
}

void limit_hold(struct entry *entry)
{
    if (!entry->key || !entry->lane->queue->limits.config.key_ordered)
        return;
    limit_key_gate(entry);
    /* The read was sent before the one that goes first was over. */
    const struct entry *first = entry->after_id ? lane_find(entry->lane, entry->after_id) : NULL;
    if (first && first->over)
        entry->after_id = 0;
}

void limit_is_first(struct entry *entry)
{
    if (!entry->after_id)
        return;
    entry->after_id = 0;
    if (entry->parked_in)
        gate_kick(entry->parked_in);
}

/* ---- Asking ---- */

bool limit_is_ready(const struct workqueue *queue)
{
    if (queue->limits.config.whole && spread_own_lanes(queue) < (size_t)queue->lanes)
        return false;
    if (!queue->limits.counting)
        return true;
    for (const struct lane *lane = queue->runner->lanes; lane; lane = lane->next)
        if (lane->queue == queue && !lane->lost && !lane->leaving && !lane->counted)
            return false;
    return true;
}

bool limit_has_room(const struct workqueue *queue)
{
    int most = queue->limits.config.concurrency;
    return !most || queue->limits.inside < (size_t)most;
}

struct gate *limit_gate_against(struct entry *entry)
{
    struct workqueue *queue = entry->lane->queue;
    struct gate *kind = queue->limits.kinds[entry->kind->number];
    if (kind && !gate_admits(kind, entry))
        return kind;
    if (!entry->key || !config_limits_keys(&queue->limits.config))
        return NULL;
    struct gate *key = limit_key_gate(entry);
    return gate_admits(key, entry) ? NULL : key;
}

/* ---- Counting ---- */

void limit_enter(struct entry *entry)
{
    struct workqueue *queue = entry->lane->queue;
    struct gate *kind = entry->kind ? queue->limits.kinds[entry->kind->number] : NULL;
    queue->limits.inside++;
    entry->in_slot = true;
    if (kind)
        kind->inside++;
    if (!entry->key || !config_limits_keys(&queue->limits.config))
        return;
    struct gate *key = limit_key_gate(entry);
    key->inside++;
    bucket_promise(&key->bucket);
    entry->promised = true;
    entry->in_key = true;
}

void limit_start(struct entry *entry)
{
    if (!entry->promised)
        return;
    entry->promised = false;
    bucket_redeem(&entry->gate->bucket, clock_mono_us());
    if (entry->gate->bucket.per_second > 0)
        gate_kick(entry->gate);
}

void limit_enter_elsewhere(struct entry *entry)
{
    limit_enter(entry);
    limit_forgo(entry); /* its start was not of this bucket */
}

void limit_leave(struct entry *entry)
{
    if (!entry->in_slot)
        return;
    struct workqueue *queue = entry->lane->queue;
    struct gate *kind = entry->kind ? queue->limits.kinds[entry->kind->number] : NULL;
    entry->in_slot = false;
    limit_forgo(entry);
    queue->limits.inside--;
    if (!kind)
        return;
    kind->inside--;
    gate_kick(kind);
}

static void limit_free_key_gate(struct workqueue *queue, struct gate *gate)
{
    if (!gate_is_idle(gate))
        return;
    HASH_DEL(queue->limits.keys, gate);
    gate_free(gate);
}

void limit_forget(struct entry *entry)
{
    struct gate *offered = entry->offered_by, *gate = entry->gate;
    gate_on_offered_gone(entry);
    limit_leave(entry);
    if (offered && offered != gate)
        gate_kick(offered);
    if (!gate)
        return;
    entry->gate = NULL;
    DL_DELETE2(gate->entries, entry, gate_prev, gate_next);
    if (entry->in_key)
        gate->inside--;
    entry->in_key = false;
    gate_kick(gate);
    limit_free_key_gate(entry->lane->queue, gate);
}

void limit_ended(struct entry *entry)
{
    struct entry *each;
    entry->over = true;
    if (entry->gate && entry->gate->ordered)
        DL_FOREACH2(entry->gate->entries, each, gate_next)
        {
            if (each->after_id == entry->id)
                each->after_id = 0;
        }
}

void limit_ended_id(struct lane *lane, int64_t id)
{
    if (!lane->queue->limits.config.key_ordered)
        return;
    for (struct entry *entry = lane->held; entry; entry = entry->hh.next) {
        if (entry->after_id == id)
            limit_is_first(entry);
    }
}

int64_t limit_open_due(struct workqueue *queue)
{
    struct heap *opening = &queue->limits.opening;
    int64_t now_us = clock_mono_us();
    for (struct heap_item *top; (top = heap_top(opening));) {
        struct gate *gate = gate_from_opening(top);
        if (gate->open_at_us > now_us)
            return gate->open_at_us;
        gate_kick(gate);
        if (heap_top(opening) == top && gate->open_at_us <= now_us)
            return now_us + 1000;
    }
    return INT64_MAX;
}

void limit_sweep(struct workqueue *queue)
{
    struct gate *gate, *next;
    HASH_ITER(hh, queue->limits.keys, gate, next)
    {
        limit_free_key_gate(queue, gate);
    }
}
