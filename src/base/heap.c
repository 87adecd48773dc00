#include "base/heap.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

void heap_init_keyed(struct heap *heap, heap_before *before, heap_key_of *key_of)
{
    *heap = (struct heap){.before = before, .key_of = key_of};
}

void heap_init(struct heap *heap, heap_before *before)
{
    heap_init_keyed(heap, before, NULL);
}

void heap_clear(struct heap *heap)
{
    free(heap->slots);
    heap_init_keyed(heap, heap->before, heap->key_of);
}

static bool heap_slot_before(const struct heap *heap, struct heap_slot a, struct heap_slot b)
{
    if (a.key.first != b.key.first)
        return a.key.first < b.key.first;
    if (a.key.second != b.key.second)
        return a.key.second < b.key.second;
    return heap->before(a.item, b.item);
}

static void heap_put(struct heap *heap, size_t index, struct heap_slot slot)
{
    heap->slots[index] = slot;
    slot.item->place = index + 1;
}

static void heap_rise(struct heap *heap, size_t index, struct heap_slot slot)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!heap_slot_before(heap, slot, heap->slots[parent]))
            break;
        heap_put(heap, index, heap->slots[parent]);
        index = parent;
    }
    heap_put(heap, index, slot);
}

static void heap_sink(struct heap *heap, size_t index, struct heap_slot slot)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count &&
            heap_slot_before(heap, heap->slots[child + 1], heap->slots[child]))
            child++;
        if (!heap_slot_before(heap, heap->slots[child], slot))
            break;
        heap_put(heap, index, heap->slots[child]);
        index = child;
    }
    heap_put(heap, index, slot);
}

void heap_push(struct heap *heap, struct heap_item *item)
{
    assert(item->place == 0);
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? 2 * heap->capacity : 64;
        heap->slots = mem_resize(heap->slots, heap->capacity * sizeof(struct heap_slot));
    }
    struct heap_slot slot = {.item = item};
    if (heap->key_of)
        heap->key_of(item, &slot.key);
    heap_rise(heap, heap->count++, slot);
}

struct heap_item *heap_top(const struct heap *heap)
{
    return heap->count ? heap->slots[0].item : NULL;
}

void heap_remove(struct heap *heap, struct heap_item *item)
{
    assert(item->place > 0 && heap->slots[item->place - 1].item == item);
    size_t index = item->place - 1;
    struct heap_slot last = heap->slots[--heap->count];
    item->place = 0;
    if (last.item == item)
        return;
    if (index > 0 && heap_slot_before(heap, last, heap->slots[(index - 1) / 2]))
        heap_rise(heap, index, last);
    else
        heap_sink(heap, index, last);
}

struct heap_item *heap_pop(struct heap *heap)
{
    struct heap_item *item = heap_top(heap);
    if (item)
        heap_remove(heap, item);
    return item;
}
