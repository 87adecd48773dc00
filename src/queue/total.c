#include "queue/total.h"

#include "base/mem.h"
#include "queue/statistic.h"

#include <stdlib.h>
#include <string.h>

static struct total *total_new(const char *queue, const char *kind)
{
    struct total *total = mem_zalloc(sizeof *total);
    total->counts.queue = mem_strdup(queue);
    total->counts.kind = mem_strdup(kind);
    return total;
}

static void total_free(struct total *total)
{
    free((char *)(uintptr_t)total->counts.queue);
    free((char *)(uintptr_t)total->counts.kind);
    free(total);
}

struct total *totals_find(struct totals *totals, const char *queue, const char *kind)
{
    for (struct total *total = totals->first; total; total = total->next)
        if (strcmp(total->counts.kind, kind) == 0 && strcmp(total->counts.queue, queue) == 0)
            return total;
    if (totals->others)
        return totals->others;
    bool others = totals->count == TOTAL_PAIRS;
    struct total *total = others ? total_new("(others)", "(others)") : total_new(queue, kind);
    total->next = totals->first;
    totals->first = total;
    totals->count++;
    if (others)
        totals->others = total;
    return total;
}

void totals_clear(struct totals *totals)
{
    while (totals->first) {
        struct total *next = totals->first->next;
        total_free(totals->first);
        totals->first = next;
    }
    *totals = (struct totals){0};
}

void total_count(struct total *total, enum counts_outcome outcome)
{
    total->counts.ended[outcome]++;
}

void total_count_times(struct total *total, int64_t wait_us, int64_t run_us)
{
    struct counts_kind *counts = &total->counts;
    counts->timed++;
    counts->wait_us += wait_us > 0 ? wait_us : 0;
    counts->run_us += run_us > 0 ? run_us : 0;
    counts->waits[statistic_bucket(wait_us)]++;
    counts->runs[statistic_bucket(run_us)]++;
}
