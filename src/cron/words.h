/* Pieces of the sentence that describes an expression: lists of phrases, and sets of numbers as
 * people see them. */
#ifndef CRON_WORDS_H
#define CRON_WORDS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Phrases that end up as "a, b and c". */
struct words {
    struct buf text;
    int count;
};

void words_init(struct words *words);
void words_clear(struct words *words);
void words_add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
void words_join(const struct words *words, struct buf *to);

const char *words_ordinal_ending(int number); /* "st", "nd", "rd", "th" */

enum set_shape {
    SET_ALL,
    SET_ONE,
    SET_RUN,  /* three or more without a gap; may pass the end of the field, as 22-2 does */
    SET_STEP, /* three or more with the same distance, or two that are half of the field apart */
    SET_LIST
};

enum { SET_MAX = 60 };

struct set {
    enum set_shape shape;
    int count, step;
    bool even;           /* the distance from the last one to the next field's first is the same */
    int values[SET_MAX]; /* ascending; of a run in its order */
};

/* Of the values least to least + size - 1, bit n for value n. */
struct set set_read(uint64_t mask, int least, int size);
int set_first(const struct set *set);
int set_last(const struct set *set);

#endif
