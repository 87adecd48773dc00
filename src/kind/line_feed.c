#include "kind/line_feed.h"

#include <string.h>

/* What a long line has taken goes back. */
enum { FEED_KEPT_BYTES = 65536 };

void line_feed_init(struct line_feed *feed, size_t max_bytes,
                    void (*on_line)(void *owner, const char *text, size_t length, bool is_cut),
                    void *owner)
{
    *feed = (struct line_feed){.max_bytes = max_bytes, .on_line = on_line, .owner = owner};
    buf_init(&feed->begun, 0);
}

void line_feed_clear(struct line_feed *feed)
{
    buf_clear(&feed->begun);
}

static void feed_begin(struct line_feed *feed)
{
    feed->is_cut = false;
    if (feed->begun.capacity > FEED_KEPT_BYTES)
        buf_clear(&feed->begun);
    else
        buf_reset(&feed->begun);
}

static void feed_keep(struct line_feed *feed, const char *data, size_t length)
{
    size_t room = feed->max_bytes - feed->begun.length;
    feed->is_cut |= length > room;
    if (length > room)
        length = room;
    if (length)
        buf_add(&feed->begun, data, length);
}

static void feed_tell_begun(struct line_feed *feed)
{
    feed->on_line(feed->owner, buf_text(&feed->begun), feed->begun.length, feed->is_cut);
    feed_begin(feed);
}

void line_feed_take(struct line_feed *feed, const char *data, size_t length)
{
    for (const char *end; (end = memchr(data, '\n', length));) {
        size_t part = (size_t)(end - data);
        if (feed->begun.length || part > feed->max_bytes) {
            feed_keep(feed, data, part);
            feed_tell_begun(feed);
        } else {
            feed->on_line(feed->owner, data, part, false);
        }
        data += part + 1;
        length -= part + 1;
    }
    feed_keep(feed, data, length);
}

void line_feed_end(struct line_feed *feed)
{
    if (feed->begun.length)
        feed_tell_begun(feed);
}
