#include "queue/report.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/str.h"
#include "queue/limit.h"
#include "queue/runner_state.h"
#include "queue/workqueue.h"

#include <inttypes.h>
#include <string.h>

/* The keys that wait longest, the longest first: it is of them that people ask. */
struct report_keys {
    size_t count;
    int64_t until_us; /* the last start of those left out, monotonic; INT64_MIN: none was */
    struct report_key {
        const struct gate *gate;
        int64_t next_us; /* monotonic */
    } keys[REPORT_KEYS_MAX];
};

static void report_keys_leave_out(struct report_keys *held, int64_t next_us)
{
    if (next_us > held->until_us)
        held->until_us = next_us;
}

static void report_keys_add(struct report_keys *held, const struct gate *gate, int64_t next_us)
{
    size_t place = held->count;
    while (place > 0 && held->keys[place - 1].next_us < next_us)
        place--;
    if (held->count == REPORT_KEYS_MAX) {
        bool is_least = place == held->count;
        report_keys_leave_out(held, is_least ? next_us : held->keys[--held->count].next_us);
        if (is_least)
            return;
    }
    memmove(&held->keys[place + 1], &held->keys[place],
            (held->count - place) * sizeof held->keys[0]);
    held->keys[place] = (struct report_key){gate, next_us};
    held->count++;
}

static void report_keys_collect(struct report_keys *held, const struct workqueue *queue,
                                int64_t now_us)
{
    struct gate *gate, *next;
    held->count = 0;
    held->until_us = INT64_MIN;
    HASH_ITER(hh, queue->limits.keys, gate, next)
    {
        if (gate->parked.count && !bucket_allows(&gate->bucket, (double)gate->offered, now_us))
            report_keys_add(held, gate, bucket_earliest_us(&gate->bucket, (double)gate->offered));
    }
}

static int64_t report_time_us(const struct workqueue *queue, int64_t mono_us)
{
    return clock_mono_to_database_us(&queue->runner->clock, mono_us);
}

static void report_add_keys(struct buf *buf, const struct workqueue *queue)
{
    struct report_keys held;
    int64_t now_us = clock_mono_us();
    size_t bytes = 0;
    report_keys_collect(&held, queue, now_us);
    buf_printf(buf, ",\"keys\":{\"at\":%" PRId64 ",\"held\":{", report_time_us(queue, now_us));
    for (size_t i = 0; i < held.count; i++) {
        const struct report_key *key = &held.keys[i];
        size_t length = strlen(key->gate->key);
        if (bytes + length > REPORT_KEYS_MAX_BYTES) {
            report_keys_leave_out(&held, key->next_us);
            continue;
        }
        buf_add_text(buf, bytes ? ",\"" : "\"");
        str_escape(buf, key->gate->key, length);
        buf_printf(buf, "\":%" PRId64, report_time_us(queue, key->next_us));
        bytes += length + 1;
    }
    buf_add_char(buf, '}');
    if (held.until_us != INT64_MIN)
        buf_printf(buf, ",\"until\":%" PRId64, report_time_us(queue, held.until_us));
    buf_add_char(buf, '}');
}

void report_add(struct buf *buf, const struct runner *runner)
{
    const char *comma = "";
    buf_add_char(buf, '{');
    for (const struct workqueue *queue = runner->workqueues; queue; queue = queue->next) {
        const char *waits = workqueue_waits(queue);
        bool keys = queue->limits.config.key_rate > 0;
        if (!queue->running && !waits && !keys)
            continue;
        buf_printf(buf, "%s\"%s\":{\"running\":%zu", comma, queue->name, queue->running);
        if (waits)
            buf_printf(buf, ",\"waits\":\"%s\"", waits);
        if (keys)
            report_add_keys(buf, queue);
        buf_add_char(buf, '}');
        comma = ",";
    }
    buf_add_char(buf, '}');
}
