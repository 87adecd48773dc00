/* A growing byte buffer, always NUL-terminated behind its length, with an optional maximum. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while nothing was added */
    size_t length, capacity;
    size_t max_bytes; /* 0: none */
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_clear(struct buf *buf); /* frees */
void buf_reset(struct buf *buf); /* empties, keeps the memory */
char *
buf_steal(struct buf *buf); /* hands the memory over (never NULL); the buffer is empty again */
const char *buf_text(const struct buf *buf); /* "" when empty */

/* False, and nothing added, when max_bytes would be passed. */
bool buf_add(struct buf *buf, const void *data, size_t length);
bool buf_add_text(struct buf *buf, const char *text);
bool buf_add_char(struct buf *buf, char c);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* PostgreSQL array literal, element by element: buf_array_open, then an element each, then
 * buf_array_close. A NULL text becomes NULL; any other is quoted. */
void buf_array_open(struct buf *buf);
void buf_array_text(struct buf *buf, const char *text);
void buf_array_int(struct buf *buf, long long value);
void buf_array_close(struct buf *buf);

#endif
