/* Allocation that cannot fail: out of memory ends the process with a line on stderr, and the lease
 * and the attempt count do the rest. For sizes that the program bounds itself. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Once, for a process that runs for long: what is large goes back to the system when it is freed,
 * however large what was freed before. */
void mem_return_large(void);

void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_resize(void *piece, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t length);

#endif
