#include "httpd/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

enum {
    ACCEPT_AGAIN_US = 100000, /* no descriptor or memory is left */
    ACCEPT_ROUND = 32,
    CONN_MEMORY = 32768, /* of libmicrohttpd; for more it asks the system, each time */
    STOP_HEAD_US = 300000,
    STOP_REQUEST_US = 5000000
};

/* ---- libmicrohttpd on the loop ---- */

static void server_run(struct httpd *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES)
        loop_timer_stop(&server->daemon_timer);
    else if (wait_ms == 0)
        loop_defer(server->loop, &server->daemon_soon);
    else
        loop_timer_set(&server->daemon_timer, clock_mono_us() + (int64_t)wait_ms * 1000);
}

static void on_daemon_io(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    (void)ev, (void)events;
    server_run(watcher->data);
}

static void on_daemon_time(void *owner)
{
    server_run(owner);
}

static bool server_start_daemon(struct httpd *server, struct err *err)
{
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        exchange_on_request, server, MHD_OPTION_NOTIFY_CONNECTION, exchange_on_connection, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->options.connections + 1,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        server->daemon ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info)
        return err_set(err, ERR_CONFIG, "libmicrohttpd does not start: %s", strerror(errno));
    ev_io_init(&server->daemon_io, on_daemon_io, info->epoll_fd, EV_READ);
    server->daemon_io.data = server;
    ev_io_start(server->loop->ev, &server->daemon_io);
    return true;
}

/* ---- Connections ---- */

static void on_quiet_soon(void *owner)
{
    struct httpd *server = owner;
    if (httpd_is_quiet(server))
        server->options.on_quiet(server->options.owner);
}

void server_set_phase(struct httpd_conn *conn, enum conn_phase phase)
{
    if (conn->phase == CONN_HEAD && phase != CONN_HEAD)
        DL_DELETE2(conn->server->waiting, conn, prev_waiting, next_waiting);
    conn->phase = phase;
}

/* The last again of those that may have to make room. */
void server_expect_another(struct httpd_conn *conn)
{
    struct httpd *server = conn->server;
    conn->answered = true;
    DL_DELETE2(server->waiting, conn, prev_waiting, next_waiting);
    DL_APPEND2(server->waiting, conn, prev_waiting, next_waiting);
    server_set_deadline(conn, clock_mono_us() + server->options.deadline_ms * 1000);
}

void server_forget(struct httpd_conn *conn)
{
    struct httpd *server = conn->server;
    server_set_phase(conn, CONN_ANSWERING);
    server_set_deadline(conn, INT64_MAX);
    crowd_leave(&server->crowd, conn->member);
    DL_DELETE(server->conns, conn);
    server->count--;
    if (conn->response)
        MHD_destroy_response(conn->response);
    free(conn);
    if (server->stopping && !server->count)
        loop_defer(server->loop, &server->quiet_soon);
}

/* What is being forked may hold the socket for a moment longer: closing it would leave it watched.
 */
void server_close(struct httpd_conn *conn)
{
    if (conn->watched)
        epoll_ctl(conn->server->heads, EPOLL_CTL_DEL, conn->fd, NULL);
    close(conn->fd);
    server_forget(conn);
}

static struct httpd_conn *conn_from_heap(const struct heap_item *item)
{
    return (struct httpd_conn *)(uintptr_t)((const char *)item -
                                            offsetof(struct httpd_conn, in_deadlines));
}

static bool conn_ends_before(const struct heap_item *a, const struct heap_item *b)
{
    return conn_from_heap(a)->deadline_us < conn_from_heap(b)->deadline_us;
}

void server_set_deadline(struct httpd_conn *conn, int64_t at_us)
{
    struct httpd *server = conn->server;
    if (conn->in_deadlines.place)
        heap_remove(&server->by_deadline, &conn->in_deadlines);
    conn->deadline_us = at_us;
    if (at_us == INT64_MAX)
        return;
    heap_push(&server->by_deadline, &conn->in_deadlines);
    loop_timer_set_least(&server->deadlines, at_us);
}

/* Time is up for one: who sends too slowly is cut off, who waits is told. */
static void server_end(struct httpd_conn *conn)
{
    switch (conn->phase) {
    case CONN_HEAD:
        if (conn->answered && gate_is_silent(conn))
            server_close(conn);
        else
            gate_refuse(conn, 408, "the request took too long to come");
        break;
    case CONN_REFUSED:
        server_close(conn);
        break;
    case CONN_HANDLING:
        exchange_give_up(conn, 503, "the answer took too long");
        break;
    case CONN_BODY:
    case CONN_ANSWERING:
        shutdown(conn->fd, SHUT_RDWR);
        break;
    }
}

static void on_deadlines(void *owner)
{
    struct httpd *server = owner;
    int64_t now_us = clock_mono_us();
    for (struct heap_item *first; (first = heap_top(&server->by_deadline));) {
        struct httpd_conn *conn = conn_from_heap(first);
        if (conn->deadline_us > now_us) {
            loop_timer_set_least(&server->deadlines, conn->deadline_us);
            return;
        }
        server_set_deadline(conn, INT64_MAX);
        server_end(conn);
    }
}

/* ---- Accepting ---- */

bool server_count(struct httpd_conn *conn)
{
    struct httpd *server = conn->server;
    return !conn->client.known || crowd_join(&server->crowd, &conn->client, &conn->member) <=
                                      server->options.connections_per_address;
}

/* Who has kept us waiting for a head the longest makes room: who sends one is not kept out by those
 * who do not. False: there is none. */
static bool server_make_room(struct httpd *server)
{
    struct httpd_conn *conn = server->waiting;
    if (!conn)
        return false;
    server_close(conn);
    server->counts.turned_away++;
    return true;
}

/* What has come is read first: closing before it is would reset the connection, and the answer with
 * it. */
static void server_turn_away(struct httpd *server, int fd)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                               "Retry-After: 1\r\nContent-Length: 0\r\n\r\n";
    server->counts.turned_away++;
    send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    recv(fd, server->scratch, sizeof server->scratch, MSG_DONTWAIT);
    close(fd);
}

static void server_take(struct httpd *server, int fd, const struct sockaddr_storage *peer,
                        socklen_t length)
{
    server->counts.accepted++;
    if (server->count >= server->options.connections && !server_make_room(server)) {
        server_turn_away(server, fd);
        return;
    }
    struct httpd_conn *conn = mem_zalloc(sizeof *conn);
    conn->server = server;
    conn->fd = fd;
    conn->deadline_us = INT64_MAX;
    conn->peer_bytes = length < sizeof conn->peer ? length : sizeof conn->peer;
    memcpy(&conn->peer, peer, conn->peer_bytes);
    conn->client = origin_of(&conn->peer.any);
    DL_APPEND(server->conns, conn);
    DL_APPEND2(server->waiting, conn, prev_waiting, next_waiting);
    server->count++;
    /* Whom a proxy speaks for stands in the head. */
    if (!origin_list_has(&server->options.proxies, &conn->client) && !server_count(conn)) {
        server_turn_away(server, fd);
        server_forget(conn);
        return;
    }
    server_set_deadline(conn, clock_mono_us() + server->options.deadline_ms * 1000);
    gate_take(conn);
}

static void server_watch_accepts(struct httpd *server, bool on)
{
    for (size_t i = 0; i < server->places.count; i++) {
        if (on)
            ev_io_start(server->loop->ev, &server->accepts[i]);
        else
            ev_io_stop(server->loop->ev, &server->accepts[i]);
    }
}

static void server_accept(struct httpd *server, int listening)
{
    for (int round = 0; round < ACCEPT_ROUND; round++) {
        struct sockaddr_storage peer = {0};
        socklen_t length = sizeof peer;
        int fd =
            accept4(listening, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            server_take(server, fd, &peer, length);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_event(LOG_WARN, "cannot accept a connection", "error", strerror(errno), NULL);
            server_watch_accepts(server, false);
            loop_timer_set(&server->accept_again, clock_mono_us() + ACCEPT_AGAIN_US);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void on_accept(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    (void)ev, (void)events;
    server_accept(watcher->data, watcher->fd);
}

static void on_accept_again(void *owner)
{
    server_watch_accepts(owner, true);
}

/* ---- From beginning to end ---- */

static void server_init(struct httpd *server, struct loop *loop,
                        const struct httpd_options *options)
{
    server->loop = loop;
    server->options = *options;
    heap_init(&server->by_deadline, conn_ends_before);
    server->daemon_soon = (struct loop_deferred){.run = on_daemon_time, .owner = server};
    server->quiet_soon = (struct loop_deferred){.run = on_quiet_soon, .owner = server};
    loop_timer_init(&server->daemon_timer, loop, on_daemon_time, server);
    loop_timer_init(&server->deadlines, loop, on_deadlines, server);
    loop_timer_init(&server->accept_again, loop, on_accept_again, server);
    for (size_t i = 0; i < server->places.count; i++) {
        ev_io_init(&server->accepts[i], on_accept, server->places.sockets[i].fd, EV_READ);
        server->accepts[i].data = server;
        log_event(LOG_INFO, "listening for HTTP", "at", server->places.sockets[i].name, NULL);
    }
    ev_io_init(&server->heads_io, gate_on_heads, server->heads, EV_READ);
    server->heads_io.data = server;
    ev_io_start(loop->ev, &server->heads_io);
    server_watch_accepts(server, true);
}

bool httpd_new(struct httpd **made, struct loop *loop, const struct httpd_options *options,
               struct err *err)
{
    struct listen_set places;
    *made = NULL;
    if (!listen_open(&places, options->listen, err))
        return false;
    if (!places.count)
        return true;
    struct httpd *server = mem_zalloc(sizeof *server);
    server->places = places;
    server->heads = epoll_create1(EPOLL_CLOEXEC);
    server_init(server, loop, options);
    if (server->heads < 0 || !server_start_daemon(server, err)) {
        if (err->code == ERR_NONE)
            err_set(err, ERR_TEMPORARY, "cannot make an epoll: %s", strerror(errno));
        httpd_free(server);
        return false;
    }
    *made = server;
    return true;
}

void httpd_counts(const struct httpd *server, struct httpd_counts *counts)
{
    *counts = server->counts;
    counts->connections = server->count;
}

bool httpd_is_quiet(const struct httpd *server)
{
    return server->stopping && !server->count;
}

void httpd_stop(struct httpd *server)
{
    struct httpd_conn *conn;
    if (server->stopping)
        return;
    /* Who has connected already is not turned away. */
    for (size_t i = 0; i < server->places.count; i++)
        server_accept(server, server->places.sockets[i].fd);
    server->stopping = true;
    loop_timer_stop(&server->accept_again);
    server_watch_accepts(server, false);
    listen_close(&server->places);
    int64_t now_us = clock_mono_us();
    DL_FOREACH(server->conns, conn)
    {
        bool silent = conn->phase == CONN_HEAD && gate_is_silent(conn);
        int64_t at_us = now_us + (silent ? STOP_HEAD_US : STOP_REQUEST_US);
        if (at_us < conn->deadline_us)
            server_set_deadline(conn, at_us);
    }
    if (!server->count)
        loop_defer(server->loop, &server->quiet_soon);
}

void httpd_free(struct httpd *server)
{
    struct httpd_conn *conn, *next;
    server_watch_accepts(server, false);
    listen_close(&server->places);
    DL_FOREACH_SAFE(server->conns, conn, next)
    {
        if (conn->phase == CONN_HANDLING)
            exchange_give_up(conn, 503, "the server ends");
        else if (conn->phase < CONN_BODY)
            server_close(conn);
    }
    if (server->daemon) {
        ev_io_stop(server->loop->ev, &server->daemon_io);
        MHD_stop_daemon(server->daemon);
    }
    ev_io_stop(server->loop->ev, &server->heads_io);
    if (server->heads >= 0)
        close(server->heads);
    loop_timer_stop(&server->daemon_timer);
    loop_timer_stop(&server->deadlines);
    loop_timer_stop(&server->accept_again);
    loop_defer_cancel(server->loop, &server->daemon_soon);
    loop_defer_cancel(server->loop, &server->quiet_soon);
    heap_clear(&server->by_deadline);
    free(server);
}
