#include "queue/backoff.h"

#include "base/random.h"

int64_t backoff_ms(int attempt)
{
    int64_t bound_ms = BACKOFF_FIRST_MS;
    for (int i = 1; i < attempt && bound_ms < BACKOFF_MAX_MS; i++)
        bound_ms *= 2;
    if (bound_ms > BACKOFF_MAX_MS)
        bound_ms = BACKOFF_MAX_MS;
    return bound_ms / 10 + random_below(bound_ms - bound_ms / 10);
}
