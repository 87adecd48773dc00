/* What has ended since the runner began, by queue and kind: the numbers of statistic.h, never
 * forgotten, for metrics. As many pairs as TOTAL_PAIRS have numbers of their own; what comes of
 * others after that is counted together. */
#ifndef QUEUE_TOTAL_H
#define QUEUE_TOTAL_H

#include "queue/counts.h"

struct total {
    struct total *next;
    struct counts_kind counts; /* its names are the total's own */
};

enum { TOTAL_PAIRS = 256 };

struct totals {
    struct total *first;
    struct total *others; /* NULL: there is none */
    size_t count;
};

/* The one of that queue and kind; it lasts until totals_clear. */
struct total *totals_find(struct totals *totals, const char *queue, const char *kind);
void totals_clear(struct totals *totals);
/* One attempt has ended. */
void total_count(struct total *total, enum counts_outcome outcome);
void total_count_times(struct total *total, int64_t wait_us, int64_t run_us);

#endif
