/* A binary min-heap of pointers, ordered by a comparison, each item told its place, so that it can
 * be taken out from the middle. Does not own its items. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_item {
    size_t place; /* 0: in no heap; else 1 + index */
};

typedef bool heap_before(const struct heap_item *a, const struct heap_item *b);
/* Numbers that before agrees with, the less the earlier, the first one first: while two keys differ
 * the items themselves are not looked at, which spares a large heap most of its cache misses. */
struct heap_key {
    int64_t first, second;
};
typedef void heap_key_of(const struct heap_item *item, struct heap_key *key);

struct heap_slot {
    struct heap_item *item;
    struct heap_key key;
};

struct heap {
    struct heap_slot *slots;
    size_t count, capacity;
    heap_before *before;
    heap_key_of *key_of; /* NULL: none */
};

void heap_init(struct heap *heap, heap_before *before);
void heap_init_keyed(struct heap *heap, heap_before *before, heap_key_of *key_of);
void heap_clear(struct heap *heap); /* frees the array, not the items */
void heap_push(struct heap *heap, struct heap_item *item);
struct heap_item *heap_top(const struct heap *heap); /* NULL when empty */
struct heap_item *heap_pop(struct heap *heap);
void heap_remove(struct heap *heap, struct heap_item *item);

#endif
