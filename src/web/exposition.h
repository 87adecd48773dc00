/* Prometheus' text format, version 0.0.4, written into a buffer. Pure. */
#ifndef WEB_EXPOSITION_H
#define WEB_EXPOSITION_H

#include "base/buf.h"

#include <stdint.h>

struct exposition {
    struct buf *buf;
    const char *family; /* the one that is written */
};

/* Begins a family; type: counter, gauge or histogram. name and help are plain ASCII. */
void exposition_family(struct exposition *exposition, const char *name, const char *type,
                       const char *help);

/* A label's value may be any text. */
struct exposition_label {
    const char *name, *value;
};

enum { EXPOSITION_LABELS = 3, EXPOSITION_BUCKETS = 32 };

/* Ends at the first without a name. */
struct exposition_labels {
    struct exposition_label label[EXPOSITION_LABELS];
};

/* A sample of the family begun last. */
void exposition_sample(struct exposition *exposition, const struct exposition_labels *labels,
                       double value);

/* Upper bounds of a histogram's buckets, rising, as text. */
struct exposition_bounds {
    size_t count;
    char le[EXPOSITION_BUCKETS][24];
};

void exposition_bounds_add(struct exposition_bounds *bounds, double bound);
/* The samples of one histogram: within[i] is how many are below bound i and not below the one
 * before it; what is in total and in none of them is above all. */
void exposition_histogram(struct exposition *exposition, const struct exposition_labels *labels,
                          const struct exposition_bounds *bounds, const uint64_t *within,
                          uint64_t total, double sum);

#endif
