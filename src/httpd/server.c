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
    CONN_MEMORY = 65536,
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

void server_forget(struct httpd_conn *conn)
{
    struct httpd *server = conn->server;
    DL_DELETE(server->conns, conn);
    server->count--;
    if (conn->response)
        MHD_destroy_response(conn->response);
    free(conn);
    if (server->stopping && !server->count)
        loop_defer(server->loop, &server->quiet_soon);
}

void server_set_deadline(struct httpd_conn *conn, int64_t at_us)
{
    conn->deadline_us = at_us;
    loop_timer_set_least(&conn->server->deadlines, at_us);
}

/* Time is up for one: who sends too slowly is cut off, who waits is told. */
static void server_end(struct httpd_conn *conn)
{
    switch (conn->phase) {
    case CONN_HEAD:
        gate_refuse(conn, 408, "the request took too long to come");
        break;
    case CONN_REFUSED:
        close(conn->fd);
        server_forget(conn);
        break;
    case CONN_HANDLING:
        exchange_give_up(conn, 503, "the answer took too long");
        break;
    case CONN_BODY:
    case CONN_ANSWERING:
        conn->deadline_us = INT64_MAX;
        shutdown(conn->fd, SHUT_RDWR);
        break;
    }
}

static void on_deadlines(void *owner)
{
    struct httpd *server = owner;
    struct httpd_conn *conn, *next;
    int64_t now_us = clock_mono_us();
    DL_FOREACH_SAFE(server->conns, conn, next)
    {
        if (conn->deadline_us <= now_us)
            server_end(conn);
    }
    DL_FOREACH(server->conns, conn)
    {
        loop_timer_set_least(&server->deadlines, conn->deadline_us);
    }
}

/* ---- Accepting ---- */

static void conn_set_address(struct httpd_conn *conn, const struct sockaddr_storage *peer)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    conn->has_address = peer->ss_family == AF_INET || peer->ss_family == AF_INET6;
    if (peer->ss_family == AF_INET) {
        memcpy(conn->address, mapped, sizeof mapped);
        memcpy(conn->address + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
    } else if (peer->ss_family == AF_INET6) {
        memcpy(conn->address, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
        if (memcmp(conn->address, mapped, sizeof mapped) != 0)
            memset(conn->address + 8, 0, 8);
    }
}

static bool conn_is_too_many(const struct httpd_conn *conn)
{
    const struct httpd *server = conn->server;
    const struct httpd_conn *other;
    size_t same = 0;
    if (server->count > server->options.connections)
        return true;
    if (!conn->has_address)
        return false;
    DL_FOREACH(server->conns, other)
    {
        same += other->has_address && memcmp(other->address, conn->address, 16) == 0;
    }
    return same > server->options.connections_per_address;
}

static void server_take(struct httpd *server, int fd, const struct sockaddr_storage *peer)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                               "Retry-After: 1\r\nContent-Length: 0\r\n\r\n";
    struct httpd_conn *conn = mem_zalloc(sizeof *conn);
    conn->server = server;
    conn->fd = fd;
    conn_set_address(conn, peer);
    DL_APPEND(server->conns, conn);
    server->count++;
    bool too_many = conn_is_too_many(conn);
    if (too_many)
        send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (too_many || !gate_add(conn)) {
        close(fd);
        server_forget(conn);
        return;
    }
    server_set_deadline(conn, clock_mono_us() + server->options.deadline_ms * 1000);
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
            server_take(server, fd, &peer);
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
        char byte;
        bool silent =
            conn->phase == CONN_HEAD && recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
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
        if (conn->phase == CONN_HANDLING) {
            exchange_give_up(conn, 503, "the server ends");
        } else if (conn->phase < CONN_BODY) {
            close(conn->fd);
            server_forget(conn);
        }
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
    free(server);
}
