/* What became of events of webhooks is looked up where their handlers do not say so, once a minute.
 * Those whose time is over go, a small batch in a transaction of its own: at the
 * runner's start and each hour. Settings: webhook_keep_days, webhook_keep_open_days. Not for the
 * history, whose partitions are dropped by the upkeep. */
#ifndef QUEUE_RETENTION_H
#define QUEUE_RETENTION_H

#include "loop/loop.h"

struct runner;

struct retention {
    struct loop_timer timer, settle;
};

void retention_init(struct runner *runner);

#endif
