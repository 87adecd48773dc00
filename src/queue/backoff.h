/* How long a failed job waits before its next attempt. */
#ifndef QUEUE_BACKOFF_H
#define QUEUE_BACKOFF_H

#include <stdint.h>

enum { BACKOFF_FIRST_MS = 2000, BACKOFF_MAX_MS = 3600000 };

/* After attempt 1, 2, ...: a random time below a bound that doubles from 2 s to an hour (full
 * jitter), at least a tenth of the bound. */
int64_t backoff_ms(int attempt);

#endif
