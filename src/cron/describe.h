/* The two halves of what cron_describe says: the days, and the times (in describe.c). */
#ifndef CRON_DESCRIBE_H
#define CRON_DESCRIBE_H

#include "base/buf.h"
#include "cron/cron.h"

#include <stdbool.h>

/* Adds " on ..."; every_day: where all days are meant " every day", else then nothing. */
void describe_days(const struct cron *cron, bool every_day, struct buf *buf);

#endif
