#include "base/heap.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

void heap_init(struct heap *heap, heap_before *before)
{
    *heap = (struct heap){.before = before};
}

void heap_clear(struct heap *heap)
{
    free(heap->items);
    heap_init(heap, heap->before);
}

static void heap_put(struct heap *heap, size_t index, struct heap_item *item)
{
    heap->items[index] = item;
    item->place = index + 1;
}

static void heap_rise(struct heap *heap, size_t index, struct heap_item *item)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!heap->before(item, heap->items[parent]))
            break;
        heap_put(heap, index, heap->items[parent]);
        index = parent;
    }
    heap_put(heap, index, item);
}

static void heap_sink(struct heap *heap, size_t index, struct heap_item *item)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->before(heap->items[child + 1], heap->items[child]))
            child++;
        if (!heap->before(heap->items[child], item))
            break;
        heap_put(heap, index, heap->items[child]);
        index = child;
    }
    heap_put(heap, index, item);
}

void heap_push(struct heap *heap, struct heap_item *item)
{
    assert(item->place == 0);
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? 2 * heap->capacity : 64;
        heap->items = mem_resize(heap->items, heap->capacity * sizeof(struct heap_item *));
    }
    heap_rise(heap, heap->count++, item);
}

struct heap_item *heap_top(const struct heap *heap)
{
    return heap->count ? heap->items[0] : NULL;
}

void heap_remove(struct heap *heap, struct heap_item *item)
{
    assert(item->place > 0 && heap->items[item->place - 1] == item);
    size_t index = item->place - 1;
    struct heap_item *last = heap->items[--heap->count];
    item->place = 0;
    if (last == item)
        return;
    if (index > 0 && heap->before(last, heap->items[(index - 1) / 2]))
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
