/* Server-sent events: the text of a stream, in pieces cut anywhere, becomes events (WHATWG HTML,
 * section 9.2.6). Pure. What the stream's bytes mean beyond that ("[DONE]", JSON) is its reader's
 * business. */
#ifndef HTTP_SSE_H
#define HTTP_SSE_H

#include "base/buf.h"

#include <stdint.h>

struct sse {
    struct buf line;           /* that is not whole yet */
    struct buf type, data, id; /* of the event that is not whole yet; id: stays from event to event
                                */
    int64_t retry_ms;          /* that was named since the event before; -1: none */
    size_t max_bytes;
    bool has_data, after_cr;
    bool begun;     /* a line was whole: no BOM from here on */
    bool told;      /* the event is over; the next line begins another */
    bool too_large; /* an event, or a line, has passed max_bytes: nothing more comes */
};

/* max_bytes: of an event with its names, and of a line. */
void sse_init(struct sse *sse, size_t max_bytes);
void sse_clear(struct sse *sse);

/* Takes text up to the end of an event and returns how much that was; true in *whole when there is
 * one, which stands in the struct until the next call. False: all was taken, or too_large. */
size_t sse_take(struct sse *sse, const char *text, size_t bytes, bool *whole);

#endif
