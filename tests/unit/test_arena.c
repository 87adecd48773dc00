/* arena: alignment, large pieces, many pieces (ASan watches the borders and the end). */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

static void test_pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    struct arena arena;
    char *last = NULL;
    size_t last_size = 0;
    arena_init(&arena);
    for (size_t i = 0; i < 5000; i++) {
        size_t size = i * 7 % 3000;
        char *piece = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)piece % alignof(max_align_t), 0);
        memset(piece, 0x5A, size);
        if (last_size) {
            assert_int_equal((unsigned char)last[0], 0x5A);
            assert_int_equal((unsigned char)last[last_size - 1], 0x5A);
            last[0] = last[last_size - 1] = 0x5A;
        }
        last = piece;
        last_size = size;
    }
    arena_clear(&arena);
    assert_null(arena.blocks);
}

static void test_zalloc_is_zero(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    memset(arena_alloc(&arena, 100), 0xFF, 100);
    for (size_t size = 1; size < 20000; size = size * 3 + 1) {
        const char *piece = arena_zalloc(&arena, size);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(piece[i], 0);
    }
    arena_clear(&arena);
}

static void test_texts(void **state)
{
    (void)state;
    struct arena arena;
    char long_text[10001];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    arena_init(&arena);
    assert_string_equal(arena_strdup(&arena, ""), "");
    assert_string_equal(arena_strndup(&arena, "lanes", 4), "lane");
    assert_string_equal(arena_printf(&arena, "%s/%d", "lane", 3), "lane/3");
    assert_string_equal(arena_printf(&arena, "%s", long_text), long_text);
    arena_clear(&arena);
}

static void test_clear_twice_and_use_again(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    arena_clear(&arena);
    arena_clear(&arena);
    assert_string_equal(arena_strdup(&arena, "again"), "again");
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_zalloc_is_zero),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_clear_twice_and_use_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
