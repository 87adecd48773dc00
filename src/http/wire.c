#include "http/wire.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

enum {
    WIRE_IDLE_CONNECTIONS = 256 /* kept: fewer than wait at once would be made anew each time */
};

struct wire_socket {
    struct ev_io io;
    struct wire *wire;
};

static void wire_act(struct wire *wire, curl_socket_t socket, int events)
{
    int running;
    curl_multi_socket_action(wire->multi, socket, events, &running);
    loop_defer(wire->loop, wire->acted);
}

static void on_socket_ready(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct wire_socket *socket = watcher->data;
    (void)ev;
    wire_act(socket->wire, watcher->fd,
             (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *known)
{
    struct wire *wire = owner;
    struct wire_socket *socket = known;
    (void)easy;
    if (socket)
        ev_io_stop(wire->loop->ev, &socket->io);
    if (what == CURL_POLL_REMOVE) {
        free(socket);
        return 0;
    }
    if (!socket) {
        socket = mem_zalloc(sizeof *socket);
        socket->wire = wire;
        ev_init(&socket->io, on_socket_ready);
        socket->io.data = socket;
        curl_multi_assign(wire->multi, fd, socket);
    }
    ev_io_set(&socket->io, fd,
              (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
    ev_io_start(wire->loop->ev, &socket->io);
    return 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *owner)
{
    struct wire *wire = owner;
    (void)multi;
    loop_timer_set(&wire->timer,
                   timeout_ms < 0 ? INT64_MAX : clock_mono_us() + (int64_t)timeout_ms * 1000);
    return 0;
}

static void on_timer(void *owner)
{
    wire_act(owner, CURL_SOCKET_TIMEOUT, 0);
}

void wire_init(struct wire *wire, struct loop *loop, struct loop_deferred *acted)
{
    *wire = (struct wire){.loop = loop, .acted = acted};
    loop_timer_init(&wire->timer, loop, on_timer, wire);
}

void wire_need(struct wire *wire)
{
    if (wire->multi)
        return;
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counts */
    wire->multi = curl_multi_init();
    assert(wire->multi);
    curl_multi_setopt(wire->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(wire->multi, CURLMOPT_SOCKETDATA, wire);
    curl_multi_setopt(wire->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(wire->multi, CURLMOPT_TIMERDATA, wire);
    curl_multi_setopt(wire->multi, CURLMOPT_MAXCONNECTS, (long)WIRE_IDLE_CONNECTIONS);
}

void wire_clear(struct wire *wire)
{
    loop_timer_stop(&wire->timer);
    if (!wire->multi)
        return;
    curl_multi_cleanup(wire->multi);
    curl_global_cleanup();
}
