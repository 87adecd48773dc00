/* heap: order, and removal from any place, against a plain array. */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { ITEMS = 500, ROUNDS = 20000 };

struct thing {
    struct heap_item item;
    int value;
    bool in;
};

static const struct thing *thing_of(const struct heap_item *item)
{
    return (const struct thing *)item;
}

static bool thing_before(const struct heap_item *a, const struct heap_item *b)
{
    return thing_of(a)->value < thing_of(b)->value;
}

/* A small generator of our own: the same run each time. */
static unsigned next_random(void)
{
    static uint64_t seed = 42;
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(seed >> 33);
}

static int least(const struct thing *things)
{
    int value = 1 << 30;
    for (int i = 0; i < ITEMS; i++)
        if (things[i].in && things[i].value < value)
            value = things[i].value;
    return value;
}

static void check_places(const struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        assert_int_equal(heap->slots[i].item->place, i + 1);
        assert_false(heap->before(heap->slots[i].item, heap->slots[(i - (i > 0)) / 2].item));
    }
}

static void thing_key(const struct heap_item *item, struct heap_key *key)
{
    int value = thing_of(item)->value;
    *key = (struct heap_key){value / 20, value % 20 / 4};
}

static void check_random_push_pop_remove(heap_key_of *key)
{
    static struct thing things[ITEMS];
    struct heap heap;
    heap_init_keyed(&heap, thing_before, key);
    memset(things, 0, sizeof things);
    for (int round = 0; round < ROUNDS; round++) {
        struct thing *thing = &things[next_random() % ITEMS];
        if (!thing->in) {
            thing->value = (int)(next_random() % 100);
            heap_push(&heap, &thing->item);
        } else {
            heap_remove(&heap, &thing->item);
            assert_int_equal(thing->item.place, 0);
        }
        thing->in = !thing->in;
        if (heap.count)
            assert_int_equal(thing_of(heap_top(&heap))->value, least(things));
        if (round % 100 == 0)
            check_places(&heap);
    }
    for (int last = -1; heap.count;) {
        const struct thing *thing = thing_of(heap_pop(&heap));
        assert_true(thing->value >= last);
        assert_int_equal(thing->item.place, 0);
        last = thing->value;
    }
    heap_clear(&heap);
}

static void test_random_push_pop_remove(void **state)
{
    (void)state;
    check_random_push_pop_remove(NULL);
}

static void test_random_with_keys(void **state)
{
    (void)state;
    check_random_push_pop_remove(thing_key);
}

static void test_empty(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, thing_before);
    assert_null(heap_top(&heap));
    assert_null(heap_pop(&heap));
    heap_clear(&heap);
}

static void test_one(void **state)
{
    (void)state;
    struct heap heap;
    struct thing thing = {.value = 1};
    heap_init(&heap, thing_before);
    heap_push(&heap, &thing.item);
    heap_remove(&heap, &thing.item);
    assert_null(heap_top(&heap));
    heap_push(&heap, &thing.item);
    assert_ptr_equal(heap_pop(&heap), &thing.item);
    heap_clear(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_push_pop_remove),
        cmocka_unit_test(test_random_with_keys),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
