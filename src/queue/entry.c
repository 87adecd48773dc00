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

bool entry_is_created_before(const struct heap_item *a, const struct heap_item *b)
{
    const struct entry *x = entry_from_item(a), *y = entry_from_item(b);
    return x->created_us != y->created_us ? x->created_us < y->created_us : x->id < y->id;
}

void entry_due_key(const struct heap_item *item, struct heap_key *key)
{
    const struct entry *entry = entry_from_item(item);
    *key = (struct heap_key){entry->run_at_us, entry->id};
}

void entry_key(const struct heap_item *item, struct heap_key *key)
{
    const int64_t most = (INT64_C(1) << 60) - 1; /* leaves room for the priority; 36000 years */
    const struct entry *entry = entry_from_item(item);
    int64_t run_at_us = entry->run_at_us < most ? entry->run_at_us : most;
    run_at_us = run_at_us > 0 ? run_at_us : 0;
    *key = (struct heap_key){entry->priority * (most + 1) + run_at_us, entry->id};
}

bool entry_is_suspect(const struct entry *entry)
{
    return entry->lost_before && (entry->attempt > 1 || entry->attempt + 1 >= entry->max_attempts);
}

/* Args, key and trace stand behind the struct. */
static struct entry *entry_alloc(size_t args_bytes, const char *key, const char *trace)
{
    size_t key_bytes = key ? strlen(key) + 1 : 0, trace_bytes = trace ? strlen(trace) + 1 : 0;
    struct entry *entry = mem_zalloc(sizeof *entry + args_bytes + 1 + key_bytes + trace_bytes);
    if (key)
        entry->key = memcpy(entry->args + args_bytes + 1, key, key_bytes);
    if (trace)
        entry->trace = memcpy(entry->args + args_bytes + 1 + key_bytes, trace, trace_bytes);
    return entry;
}

static const char *row_text(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

struct entry *entry_new(struct lane *lane, const struct kind *kind, const PGresult *rows, int row)
{
    size_t length = (size_t)PQgetlength(rows, row, ROW_ARGS);
    struct entry *entry =
        entry_alloc(length, row_text(rows, row, ROW_KEY), row_text(rows, row, ROW_TRACE));
    entry->lane = lane;
    entry->kind = kind_hold(kind);
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
    if (!PQgetisnull(rows, row, ROW_CREATED_AT))
        entry->created_us = db_get_time_us(rows, row, ROW_CREATED_AT);
    if (!PQgetisnull(rows, row, ROW_AFTER_ID))
        entry->after_id = db_get_int(rows, row, ROW_AFTER_ID);
    memcpy(entry->args, PQgetvalue(rows, row, ROW_ARGS), length + 1);
    return entry;
}

struct entry *entry_new_elsewhere(struct lane *lane, const struct kind *kind, int64_t id,
                                  const char *key)
{
    struct entry *entry = entry_alloc(0, key, NULL);
    entry->lane = lane;
    entry->kind = kind ? kind_hold(kind) : NULL;
    entry->id = id;
    entry->expires_us = INT64_MAX;
    entry->state = ENTRY_ELSEWHERE;
    return entry;
}

void entry_free(struct entry *entry)
{
    if (entry->kind)
        kind_release(entry->kind);
    free(entry);
}
