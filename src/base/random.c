#include "base/random.h"

#include "base/clock.h"

#include <stdbool.h>
#include <sys/random.h>

/* xorshift64*, seeded once. */
static uint64_t random_next(void)
{
    static uint64_t state;
    if (!state && getrandom(&state, sizeof state, GRND_NONBLOCK) != (long)sizeof state)
        state = (uint64_t)clock_mono_us();
    state |= !state;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

int64_t random_below(int64_t bound)
{
    return bound < 1 ? 0 : (int64_t)(random_next() % (uint64_t)bound);
}
