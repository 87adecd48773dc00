/* What the runner tells of its queues with each beat (errand.runner.state), for who asks why a job
 * does not run: what only its memory knows. */
#ifndef QUEUE_REPORT_H
#define QUEUE_REPORT_H

#include "base/buf.h"

struct runner;

enum {
    REPORT_KEYS_MAX = 64,            /* told of a queue, of those that their rate holds back */
    REPORT_KEYS_MAX_BYTES = 16 << 10 /* of their text, in all */
};

/* Adds a JSON object by queue, of those in which something runs or waits, or whose keys have a
 * rate. In it "running" counts jobs; "waits" says what keeps the first due job from starting, and
 * is left out where nothing does; "keys" is there where keys have a rate, with "at" (when this was
 * so), "held" (by key, when its next start is let through) and, when there are more of them than
 * are told, "until" (by when each of the others is let through). Times are us since 1970 on the
 * database's clock. */
void report_add(struct buf *buf, const struct runner *runner);

#endif
