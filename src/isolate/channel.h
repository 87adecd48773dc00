/* The runner's end of the socket to a host process, on the loop: frames come one at a time, when
 * they are asked for; what is sent goes out as the other side takes it. Nothing is believed: what
 * is no frame, or too large, ends the channel. Holds at most one frame of each direction, about. */
#ifndef ISOLATE_CHANNEL_H
#define ISOLATE_CHANNEL_H

#include "base/err.h"
#include "loop/loop.h"
#include "wire/frame.h"

struct channel {
    struct loop *loop;
    struct ev_io readable, writable;
    struct buf in, out;
    size_t in_taken, out_sent; /* of the buffers' bytes, those that are done with */
    bool has_ended;            /* nothing more comes */
    const char *fault;         /* why it ended before its time; NULL: the other side closed it */
    void (*on_event)(void *owner);
    void *owner;
};

/* Both ends: ours is not blocking. False: no descriptors are left. */
bool channel_pair(int *ours, int *theirs, struct err *err);

/* Takes the descriptor over. on_event comes, from the loop, when channel_next or channel_is_sent
 * may tell something new. */
void channel_init(struct channel *channel, struct loop *loop, int fd, void (*on_event)(void *owner),
                  void *owner);
void channel_clear(struct channel *channel); /* not inside on_event */

/* The next frame, if it is there; it stays until the next call. */
bool channel_next(struct channel *channel, struct frame_reader *reader, unsigned *what);
/* What is written into `out` by frame_begin to frame_end goes out. */
void channel_send(struct channel *channel);
bool channel_is_sent(const struct channel *channel);

#endif
