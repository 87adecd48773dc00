#include "queue/entry.h"

#include "base/clock.h"
#include "base/mem.h"
#include "db/unit.h"

#include <stdlib.h>
#include <string.h>

struct entry *entry_from_heap(struct heap_item *item)
{
    return (struct entry *)(void *)((char *)item - offsetof(struct entry, in_heap));
}

static const struct entry *entry_from_item(const struct heap_item *item)
{
    return (const struct entry *)(const void *)((const char *)item -
                                                offsetof(struct entry, in_heap));
}

bool entry_is_due_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct entry *x = entry_from_item(a), *y = entry_from_item(b);
    return x->run_at_us != y->run_at_us ? x->run_at_us < y->run_at_us : x->id < y->id;
}

bool entry_is_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct entry *x = entry_from_item(a), *y = entry_from_item(b);
    return x->priority != y->priority ? x->priority < y->priority : entry_is_due_before(a, b);
}

bool entry_is_suspect(const struct entry *entry)
{
    return entry->lost_before && (entry->attempt > 1 || entry->attempt + 1 >= entry->max_attempts);
}

struct entry *entry_new(struct lane *lane, const struct kind *kind, const PGresult *rows, int row)
{
    size_t length = (size_t)PQgetlength(rows, row, ROW_ARGS);
    struct entry *entry = mem_zalloc(sizeof *entry + length + 1);
    entry->lane = lane;
    entry->kind = kind;
    entry->id = db_get_int(rows, row, ROW_ID);
    entry->run_at_us = db_get_time_us(rows, row, ROW_RUN_AT);
    entry->expires_us = PQgetisnull(rows, row, ROW_EXPIRES_AT)
                            ? INT64_MAX
                            : db_get_time_us(rows, row, ROW_EXPIRES_AT);
    entry->read_us = clock_mono_us();
    entry->attempt = (int)db_get_int(rows, row, ROW_ATTEMPT);
    entry->revision = (int)db_get_int(rows, row, ROW_REVISION);
    entry->priority = (short)db_get_int(rows, row, ROW_PRIORITY);
    entry->max_attempts = PQgetisnull(rows, row, ROW_MAX_ATTEMPTS)
                              ? kind->max_attempts
                              : (int)db_get_int(rows, row, ROW_MAX_ATTEMPTS);
    entry->timeout_ms = PQgetisnull(rows, row, ROW_TIMEOUT_MS)
                            ? kind->timeout_ms
                            : (int)db_get_int(rows, row, ROW_TIMEOUT_MS);
    entry->lost_before = entry->claimed = !PQgetisnull(rows, row, ROW_CLAIMED_BY);
    entry->cancel_requested = db_get_int(rows, row, ROW_CANCEL_REQUESTED);
    memcpy(entry->args, PQgetvalue(rows, row, ROW_ARGS), length + 1);
    return entry;
}

void entry_free(struct entry *entry)
{
    free(entry);
}
