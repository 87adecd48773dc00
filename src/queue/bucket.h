/* A token bucket on the monotonic clock: per_second tokens come, burst of them are kept at most. In
 * any time of t seconds no more than burst + t * per_second are taken. */
#ifndef QUEUE_BUCKET_H
#define QUEUE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    double per_second; /* 0: no rate, everything is allowed */
    double burst, tokens;
    double
        promised; /* starts that wait for a claim: of the tokens, but not taken before they start */
    int64_t filled_us; /* monotonic: tokens are as of then */
};

/* Another rate from now on (per_second 0: none; burst below 1 counts as 1). What tokens there are
 * stay, as far as the burst allows; a bucket that had no rate is full. */
void bucket_set(struct bucket *bucket, double per_second, double burst, int64_t now_us);
void bucket_set_tokens(struct bucket *bucket, double tokens, int64_t now_us);
double bucket_tokens(struct bucket *bucket, int64_t now_us);
/* Whether a start is allowed, when count others wait before it, and those that were promised a
 * token.
 */
bool bucket_allows(struct bucket *bucket, double count, int64_t now_us);
/* When the token behind those is there; now or in the past when it is there already; INT64_MAX when
 * there are never so many at once. */
int64_t bucket_next_us(const struct bucket *bucket, double count);
/* The same for who only wants to know, and does not wait for it: when those that were promised a
 * token start in time. */
int64_t bucket_earliest_us(const struct bucket *bucket, double count);
void bucket_take(struct bucket *bucket);
/* A token is taken when the start happens, not when it is decided: one that was decided long before
 * would come close to the next. */
void bucket_promise(struct bucket *bucket);
void bucket_redeem(struct bucket *bucket, int64_t now_us); /* it starts */
void bucket_forgo(struct bucket *bucket);                  /* it does not */
bool bucket_is_full(struct bucket *bucket, int64_t now_us);

#endif
