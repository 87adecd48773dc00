/* Randomness for jitter: not for secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

int64_t random_below(int64_t bound); /* 0 to bound - 1; 0 when bound is below 1 */

#endif
