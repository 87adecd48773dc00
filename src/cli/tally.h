/* How often each word came, in the order in which they came first. */
#ifndef CLI_TALLY_H
#define CLI_TALLY_H

#include <stddef.h>

enum { TALLY_WORDS_MAX = 16, TALLY_WORD_BYTES = 32 };

struct tally {
    struct tally_item {
        char word[TALLY_WORD_BYTES];
        size_t count;
    } items[TALLY_WORDS_MAX]; /* the last one takes what finds no room: "other" */
    size_t words, total;
};

void tally_add(struct tally *tally, const char *word);
size_t tally_get(const struct tally *tally, const char *word);

#endif
