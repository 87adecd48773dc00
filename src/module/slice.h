/* How long a handler keeps the loop: from where it goes on until it waits again or returns. The
 * longest piece of it stands between two calls of the job API. */
#ifndef MODULE_SLICE_H
#define MODULE_SLICE_H

#include <stdbool.h>
#include <stdint.h>

enum { SLICE_LONG_US = 100000 };

struct slice {
    int64_t begun_us, marked_us, longest_us; /* clock_coarse_us */
    const char *last, *longest_after;        /* names of calls */
};

void slice_begin(struct slice *slice);
void slice_mark(struct slice *slice, const char *call); /* the next call of the handler */
/* How long it was, in us. */
int64_t slice_end(struct slice *slice);

#endif
