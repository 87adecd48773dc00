#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* glibc raises the bound to the largest piece that was ever freed. */
enum { MEM_LARGE_BYTES = 262144 };

void mem_return_large(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, MEM_LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, MEM_LARGE_BYTES);
#endif
}

static void *mem_check(void *piece, size_t size)
{
    if (!piece) {
        fprintf(stderr, "errand: out of memory (%zu bytes)\n", size);
        abort();
    }
    return piece;
}

void *mem_alloc(size_t size)
{
    return mem_check(malloc(size ? size : 1), size);
}

void *mem_zalloc(size_t size)
{
    return mem_check(calloc(1, size ? size : 1), size);
}

void *mem_resize(void *piece, size_t size)
{
    return mem_check(realloc(piece, size ? size : 1), size);
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t length)
{
    char *copy = mem_alloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}
