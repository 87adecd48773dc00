#include "queue/bucket.h"

static void bucket_fill(struct bucket *bucket, int64_t now_us)
{
    if (now_us > bucket->filled_us)
        bucket->tokens += (double)(now_us - bucket->filled_us) * bucket->per_second / 1e6;
    if (bucket->tokens > bucket->burst)
        bucket->tokens = bucket->burst;
    bucket->filled_us = now_us;
}

void bucket_set_tokens(struct bucket *bucket, double tokens, int64_t now_us)
{
    bucket->tokens = tokens < bucket->burst ? tokens : bucket->burst;
    bucket->filled_us = now_us;
}

void bucket_set(struct bucket *bucket, double per_second, double burst, int64_t now_us)
{
    bool unlimited = bucket->per_second <= 0;
    bucket_fill(bucket, now_us);
    bucket->per_second = per_second > 0 ? per_second : 0;
    bucket->burst = burst >= 1 ? burst : 1;
    if (unlimited || bucket->tokens > bucket->burst)
        bucket->tokens = bucket->burst;
}

double bucket_tokens(struct bucket *bucket, int64_t now_us)
{
    bucket_fill(bucket, now_us);
    return bucket->tokens;
}

/* A token comes whole; a microsecond of rounding must not make the runner look twice. */
static double bucket_rounding(const struct bucket *bucket)
{
    return 1e-6 * bucket->per_second;
}

bool bucket_allows(struct bucket *bucket, double count, int64_t now_us)
{
    if (bucket->per_second <= 0)
        return true;
    bucket_fill(bucket, now_us);
    return bucket->tokens >= count + bucket->promised + 1 - bucket_rounding(bucket);
}

static double bucket_missing(const struct bucket *bucket, double count)
{
    return count + bucket->promised + 1 - bucket->tokens;
}

int64_t bucket_earliest_us(const struct bucket *bucket, double count)
{
    double missing = bucket_missing(bucket, count);
    if (bucket->per_second <= 0 || missing <= 0)
        return bucket->filled_us;
    return bucket->filled_us + (int64_t)(missing * 1e6 / bucket->per_second) + 1;
}

int64_t bucket_next_us(const struct bucket *bucket, double count)
{
    double missing = bucket_missing(bucket, count);
    if (bucket->promised > 0 && bucket->per_second > 0 && missing > 0 &&
        bucket->tokens + missing > bucket->burst)
        return INT64_MAX; /* when one of those has started */
    return bucket_earliest_us(bucket, count);
}

void bucket_take(struct bucket *bucket)
{
    if (bucket->per_second > 0)
        bucket->tokens -= 1;
}

void bucket_promise(struct bucket *bucket)
{
    bucket->promised += 1;
}

void bucket_redeem(struct bucket *bucket, int64_t now_us)
{
    bucket_fill(bucket, now_us);
    bucket->promised -= 1;
    bucket_take(bucket);
}

void bucket_forgo(struct bucket *bucket)
{
    bucket->promised -= 1;
}

bool bucket_is_full(struct bucket *bucket, int64_t now_us)
{
    bucket_fill(bucket, now_us);
    return bucket->per_second <= 0 || bucket->tokens >= bucket->burst - bucket_rounding(bucket);
}
