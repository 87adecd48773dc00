#include "base/clock.h"

#include <time.h>

/* 50 parts per million: more than two ordinary machine clocks drift apart. */
enum { CLOCK_DRIFT_PPM = 50 };

static int64_t clock_read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    /* Not CLOCK_MONOTONIC, which stands still while the machine is suspended: a lease does not. */
    return clock_read_us(CLOCK_BOOTTIME);
}

int64_t clock_wall_us(void)
{
    return clock_read_us(CLOCK_REALTIME);
}

int64_t clock_coarse_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC_COARSE);
}

void clock_offset_sample(struct clock_offset *offset, int64_t sent_us, int64_t received_us,
                         int64_t database_us)
{
    int64_t error_us = (received_us - sent_us) / 2 + 1;
    int64_t sample_us = database_us - (sent_us + (received_us - sent_us) / 2);
    int64_t age_us = received_us - offset->sampled_us;
    int64_t aged_error_us = offset->error_us + age_us * CLOCK_DRIFT_PPM / 1000000 + 1;
    int64_t apart_us = sample_us > offset->offset_us ? sample_us - offset->offset_us
                                                     : offset->offset_us - sample_us;
    /* Two samples that cannot both be right: the clock was set, and the newer one counts. */
    bool clock_was_set = apart_us > error_us + aged_error_us;
    if (offset->sampled_us && !clock_was_set && error_us >= aged_error_us)
        return;
    *offset = (struct clock_offset){sample_us, error_us, received_us};
}

int64_t clock_database_us(const struct clock_offset *offset)
{
    return clock_mono_to_database_us(offset, clock_mono_us());
}

int64_t clock_mono_to_database_us(const struct clock_offset *offset, int64_t mono_us)
{
    return mono_us + offset->offset_us;
}

int64_t clock_database_to_mono_us(const struct clock_offset *offset, int64_t database_us)
{
    return database_us - offset->offset_us;
}
