#include "cli/tally.h"

#include <stdio.h>
#include <string.h>

static struct tally_item *tally_find(struct tally *tally, const char *word)
{
    for (size_t i = 0; i < tally->words; i++)
        if (strcmp(tally->items[i].word, word) == 0)
            return &tally->items[i];
    return NULL;
}

void tally_add(struct tally *tally, const char *word)
{
    struct tally_item *item = tally_find(tally, word);
    tally->total++;
    if (!item && tally->words == TALLY_WORDS_MAX)
        item = &tally->items[TALLY_WORDS_MAX - 1];
    if (!item) {
        item = &tally->items[tally->words++];
        snprintf(item->word, sizeof item->word, "%s",
                 tally->words == TALLY_WORDS_MAX ? "other" : word);
    }
    item->count++;
}

size_t tally_get(const struct tally *tally, const char *word)
{
    for (size_t i = 0; i < tally->words; i++)
        if (strcmp(tally->items[i].word, word) == 0)
            return tally->items[i].count;
    return 0;
}
