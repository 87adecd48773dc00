#include "base/arena.h"

#include "base/mem.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first block is small: thousands of attempts that wait at once need no more. A piece of up to
 * a quarter of a block fits into it. */
enum {
    ARENA_BLOCK_BYTES = 4096,
    ARENA_FIRST_BYTES = ARENA_BLOCK_BYTES / 4,
    ARENA_ALIGN = alignof(max_align_t)
};

struct arena_block {
    struct arena_block *next;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

void arena_clear(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena_init(arena);
}

static struct arena_block *arena_block_add(struct arena *arena, size_t size)
{
    struct arena_block *block = mem_alloc(sizeof *block + size);
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

/* A large piece gets a block of its own behind the newest one, whose free part stays in use. */
static void *arena_alloc_large(struct arena *arena, size_t size)
{
    if (!arena->blocks)
        return arena_block_add(arena, size)->data;
    struct arena_block *block = mem_alloc(sizeof *block + size);
    block->next = arena->blocks->next;
    arena->blocks->next = block;
    return block->data;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size = size ? size : 1;
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (size > (size_t)(arena->end - arena->at)) {
        if (size > ARENA_BLOCK_BYTES / 4)
            return arena_alloc_large(arena, size);
        size_t bytes = arena->blocks ? ARENA_BLOCK_BYTES : ARENA_FIRST_BYTES;
        arena->at = arena_block_add(arena, bytes)->data;
        arena->end = arena->at + bytes;
    }
    void *piece = arena->at;
    arena->at += size;
    return piece;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = arena_alloc(arena, (size_t)(length < 0 ? 0 : length) + 1);
    vsnprintf(text, (size_t)(length < 0 ? 0 : length) + 1, format, again);
    va_end(again);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}
