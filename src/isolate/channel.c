#include "isolate/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_BYTES = 16384 /* on a handler's small stack */,
    KEPT_BYTES = 262144 /* of an empty buffer; a larger one is given back */
};

bool channel_pair(int *ours, int *theirs, struct err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_set(err, ERR_TEMPORARY, "cannot make a socket: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *ours = ends[0];
    *theirs = ends[1];
    return true;
}

static void on_io(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct channel *channel = watcher->data;
    (void)events;
    ev_io_stop(ev, watcher); /* until somebody looks, there is nothing to wait for */
    channel->on_event(channel->owner);
}

void channel_init(struct channel *channel, struct loop *loop, int fd, void (*on_event)(void *owner),
                  void *owner)
{
    *channel = (struct channel){.loop = loop, .on_event = on_event, .owner = owner};
    buf_init(&channel->in, 0);
    buf_init(&channel->out, 0);
    ev_io_init(&channel->readable, on_io, fd, EV_READ);
    ev_io_init(&channel->writable, on_io, fd, EV_WRITE);
    channel->readable.data = channel->writable.data = channel;
}

void channel_clear(struct channel *channel)
{
    ev_io_stop(channel->loop->ev, &channel->readable);
    ev_io_stop(channel->loop->ev, &channel->writable);
    close(channel->readable.fd);
    buf_clear(&channel->in);
    buf_clear(&channel->out);
}

static void channel_end(struct channel *channel, const char *fault)
{
    channel->has_ended = true;
    channel->fault = fault;
    ev_io_stop(channel->loop->ev, &channel->readable);
    ev_io_stop(channel->loop->ev, &channel->writable);
}

static void buf_give_back(struct buf *buf)
{
    if (buf->capacity > KEPT_BYTES)
        buf_clear(buf);
    else
        buf_reset(buf);
}

/* ---- In ---- */

/* Whether the buffer holds a whole frame; a bad length ends the channel. */
static bool channel_has_frame(struct channel *channel, uint32_t *length)
{
    size_t held = channel->in.length - channel->in_taken;
    if (held < FRAME_HEAD_BYTES)
        return false;
    memcpy(length, channel->in.data + channel->in_taken, sizeof *length);
    if (*length > FRAME_MAX_BYTES)
        channel_end(channel, "it sent what is no frame, or too large a one");
    return !channel->has_ended && held - FRAME_HEAD_BYTES >= *length;
}

static void channel_compact(struct channel *channel)
{
    size_t rest = channel->in.length - channel->in_taken;
    if (rest && channel->in_taken)
        memmove(channel->in.data, channel->in.data + channel->in_taken, rest);
    channel->in_taken = 0;
    if (rest)
        channel->in.length = rest;
    else
        buf_give_back(&channel->in);
}

/* False: nothing came. */
static bool channel_read(struct channel *channel)
{
    char data[READ_BYTES];
    ssize_t length = recv(channel->readable.fd, data, sizeof data, 0);
    if (length > 0) {
        buf_add(&channel->in, data, (size_t)length);
        return true;
    }
    if (length == 0 || (errno != EAGAIN && errno != EINTR))
        channel_end(channel, NULL);
    else
        ev_io_start(channel->loop->ev, &channel->readable);
    return false;
}

bool channel_next(struct channel *channel, struct frame_reader *reader, unsigned *what)
{
    uint32_t length;
    bool has_frame = channel_has_frame(channel, &length);
    if (!has_frame && !channel->has_ended)
        channel_compact(channel);
    while (!has_frame && !channel->has_ended && channel_read(channel))
        has_frame = channel_has_frame(channel, &length);
    if (!has_frame)
        return false;
    *what = frame_open(reader, channel->in.data + channel->in_taken + FRAME_HEAD_BYTES, length);
    channel->in_taken += FRAME_HEAD_BYTES + length;
    return true;
}

/* ---- Out ---- */

bool channel_is_sent(const struct channel *channel)
{
    return channel->out.length == 0;
}

void channel_send(struct channel *channel)
{
    while (channel->out_sent < channel->out.length) {
        ssize_t length = send(channel->writable.fd, channel->out.data + channel->out_sent,
                              channel->out.length - channel->out_sent, MSG_NOSIGNAL);
        if (length < 0 && errno == EAGAIN) {
            ev_io_start(channel->loop->ev, &channel->writable);
            return;
        }
        if (length < 0 && errno != EINTR) /* nobody reads it; what was said before counts */
            break;
        channel->out_sent += length > 0 ? (size_t)length : 0;
    }
    channel->out_sent = 0;
    buf_give_back(&channel->out);
}
