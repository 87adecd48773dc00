/* Bytes as they come, cut into lines. Of a line that is longer than allowed the head is kept, and
 * the rest dropped. */
#ifndef KIND_LINE_FEED_H
#define KIND_LINE_FEED_H

#include "base/buf.h"

#include <stdbool.h>

struct line_feed {
    struct buf begun; /* of the line that has no end yet */
    size_t max_bytes;
    bool is_cut; /* that line is longer */
    /* A line without its newline; not NUL-terminated. */
    void (*on_line)(void *owner, const char *text, size_t length, bool is_cut);
    void *owner;
};

void line_feed_init(struct line_feed *feed, size_t max_bytes,
                    void (*on_line)(void *owner, const char *text, size_t length, bool is_cut),
                    void *owner);
void line_feed_clear(struct line_feed *feed);
void line_feed_take(struct line_feed *feed, const char *data, size_t length);
/* No more comes: what stands behind the last newline is a line, too, unless it is empty. */
void line_feed_end(struct line_feed *feed);

#endif
