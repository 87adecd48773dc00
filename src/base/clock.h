/* The one clock. Durations are measured on the monotonic clock. Leases and schedules run on the
 * database's clock, which a runner knows as an offset to its monotonic one, learned from replies.
 * The machine's own wall clock is only for log lines and for what HTTP defines by it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_mono_us(void); /* since boot, never back */
int64_t clock_wall_us(void); /* since 1970, may jump */
/* Monotonic, exact to some ms, at a fraction of the cost; it stands still while the machine sleeps.
 * To be compared with itself only. */
int64_t clock_coarse_us(void);

struct clock_offset {
    int64_t offset_us;  /* database time = monotonic + offset */
    int64_t error_us;   /* at most: half the round trip of the sample in use */
    int64_t sampled_us; /* monotonic, when the sample in use was taken; 0: none yet */
};

/* A reply that carried the database's time arrived: the request left at sent_us, the reply came at
 * received_us (monotonic). Keeps the sample with the smaller error, ageing the old one (clocks
 * drift), so the estimate follows a clock that was set. */
void clock_offset_sample(struct clock_offset *offset, int64_t sent_us, int64_t received_us,
                         int64_t database_us);
int64_t
clock_database_us(const struct clock_offset *offset); /* since 1970, database's clock, now */
int64_t clock_mono_to_database_us(const struct clock_offset *offset, int64_t mono_us);
int64_t clock_database_to_mono_us(const struct clock_offset *offset, int64_t database_us);

#endif
