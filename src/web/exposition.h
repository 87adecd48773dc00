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

enum { EXPOSITION_LABELS = 3 };

/* Ends at the first without a name. */
struct exposition_labels {
    struct exposition_label label[EXPOSITION_LABELS];
};

/* A sample of the family begun last. */
void exposition_sample(struct exposition *exposition, const struct exposition_labels *labels,
                       double value);
/* The samples of one histogram: bounds_s[i] is the upper bound of what within[i] counts (each by
 * itself), all that timed counts beyond is above them. */
void exposition_histogram(struct exposition *exposition, const struct exposition_labels *labels,
                          const double *bounds_s, const uint64_t *within, size_t buckets,
                          uint64_t timed, double sum_s);

#endif
