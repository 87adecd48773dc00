#include "queue/expiry.h"

#include "queue/dispatch.h"
#include "queue/lease.h"
#include "queue/reader.h"
#include "queue/runner_state.h"

#include <stddef.h>

static struct entry *entry_from_expiry(struct heap_item *item)
{
    return (struct entry *)(void *)((char *)item - offsetof(struct entry, in_expiry));
}

bool expiry_is_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct entry *x =
        (const struct entry *)(const void *)((const char *)a - offsetof(struct entry, in_expiry));
    const struct entry *y =
        (const struct entry *)(const void *)((const char *)b - offsetof(struct entry, in_expiry));
    return x->expires_us < y->expires_us;
}

bool expiry_is_over(const struct entry *entry)
{
    return entry->expires_us != INT64_MAX &&
           entry->expires_us <= clock_database_us(&entry->lane->runner->clock);
}

void expiry_add(struct workqueue *queue, struct entry *entry)
{
    if (entry->expires_us != INT64_MAX)
        heap_push(&queue->expiring, &entry->in_expiry);
}

void expiry_remove(struct workqueue *queue, struct entry *entry)
{
    if (entry->in_expiry.place)
        heap_remove(&queue->expiring, &entry->in_expiry);
}

int64_t expiry_run(struct workqueue *queue)
{
    static const struct outcome expired = {.code = OUTCOME_CANCELLED};
    struct runner *runner = queue->runner;
    for (struct heap_item *top; (top = heap_top(&queue->expiring));) {
        struct entry *entry = entry_from_expiry(top);
        if (!expiry_is_over(entry))
            return clock_database_to_mono_us(&runner->clock, entry->expires_us);
        if (!lease_holds(runner))
            return INT64_MAX; /* looked at again when it is renewed */
        workqueue_remove(queue, entry);
        reader_on_taken(entry->lane);
        dispatch_end(entry, &expired);
    }
    return INT64_MAX;
}
