/* A binary min-heap of pointers, ordered by a comparison, each item told its place, so that it can
 * be taken out from the middle. Does not own its items. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_item {
    size_t place; /* 0: in no heap; else 1 + index */
};

typedef bool heap_before(const struct heap_item *a, const struct heap_item *b);

struct heap {
    struct heap_item **items;
    size_t count, capacity;
    heap_before *before;
};

void heap_init(struct heap *heap, heap_before *before);
void heap_clear(struct heap *heap); /* frees the array, not the items */
void heap_push(struct heap *heap, struct heap_item *item);
struct heap_item *heap_top(const struct heap *heap); /* NULL when empty */
struct heap_item *heap_pop(struct heap *heap);
void heap_remove(struct heap *heap, struct heap_item *item);

#endif
