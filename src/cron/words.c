#include "cron/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PHRASE_BYTES = 128 };

/* ---- Phrases: in text each one ends with a line end ---- */

void words_init(struct words *words)
{
    buf_init(&words->text, 0);
    words->count = 0;
}

void words_clear(struct words *words)
{
    buf_clear(&words->text);
}

void words_add(struct words *words, const char *format, ...)
{
    char phrase[PHRASE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(phrase, sizeof phrase, format, args);
    va_end(args);
    buf_add_text(&words->text, phrase);
    buf_add_char(&words->text, '\n');
    words->count++;
}

void words_join(const struct words *words, struct buf *to)
{
    const char *phrase = buf_text(&words->text);
    for (int i = 0; i < words->count; i++) {
        size_t length = strcspn(phrase, "\n");
        if (i > 0)
            buf_add_text(to, i + 1 < words->count ? ", " : " and ");
        buf_add(to, phrase, length);
        phrase += length + 1;
    }
}

const char *words_ordinal_ending(int number)
{
    if (number / 10 % 10 == 1)
        return "th";
    return number % 10 == 1 ? "st" : number % 10 == 2 ? "nd" : number % 10 == 3 ? "rd" : "th";
}

/* ---- Sets ---- */

/* The distance that all neighbours have; 0: they differ. */
static int set_distance(const struct set *set)
{
    int distance = set->values[1] - set->values[0];
    for (int i = 1; i + 1 < set->count; i++)
        if (set->values[i + 1] - set->values[i] != distance)
            return 0;
    return distance;
}

/* Where a run that passes the end of the field begins, as an index; 0: it is no such run. */
static int set_run_start(const struct set *set, int least, int size)
{
    int start = 0;
    if (set->values[0] != least || set_last(set) != least + size - 1)
        return 0;
    for (int i = 1; i < set->count; i++)
        if (set->values[i] != set->values[i - 1] + 1) {
            if (start)
                return 0;
            start = i;
        }
    return start;
}

static void set_rotate(struct set *set, int start)
{
    const struct set before = *set;
    for (int i = 0; i < set->count; i++)
        set->values[i] = before.values[(start + i) % set->count];
}

static enum set_shape set_find_shape(struct set *set, int least, int size)
{
    if (set->count == size)
        return SET_ALL;
    if (set->count == 1)
        return SET_ONE;
    set->step = set_distance(set);
    set->even = set->step > 1 && set->step * set->count == size;
    if (set->count == 2)
        return set->even && set->values[0] == least ? SET_STEP : SET_LIST;
    if (set->step > 1)
        return SET_STEP;
    int start = set_run_start(set, least, size);
    if (start)
        set_rotate(set, start);
    return start || set->step == 1 ? SET_RUN : SET_LIST;
}

struct set set_read(uint64_t mask, int least, int size)
{
    struct set set = {.count = 0};
    for (int value = least; value < least + size; value++)
        if (mask >> value & 1)
            set.values[set.count++] = value;
    set.shape = set_find_shape(&set, least, size);
    return set;
}

int set_first(const struct set *set)
{
    return set->values[0];
}

int set_last(const struct set *set)
{
    return set->values[set->count - 1];
}
