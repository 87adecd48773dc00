/* Connections whose head has not come whole yet. It is peeked at, so that libmicrohttpd, which is
 * laxer than we are, finds it untouched once it has been let pass. */
#include "httpd/server.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GATE_EVENTS = 64, GATE_LINGER_US = 2000000 };

static void gate_close(struct httpd_conn *conn)
{
    close(conn->fd);
    server_forget(conn);
}

/* Tells at once of what has come already. */
static void gate_watch(struct httpd_conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    if (conn->watched)
        return;
    conn->watched = true;
    if (epoll_ctl(conn->server->heads, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        gate_close(conn);
}

static const char *gate_reason(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 431:
        return "Request Header Fields Too Large";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Service Unavailable";
    }
}

/* The rest of what was sent is thrown away for a while: closing before it is read would reset the
 * connection, and the answer with it. */
void gate_refuse(struct httpd_conn *conn, int status, const char *why)
{
    char text[512];
    int length = snprintf(text, sizeof text,
                          "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                          "Content-Length: %zu\r\n%s\r\n%s\n",
                          status, gate_reason(status), strlen(why) + 1,
                          status == 503 ? "Retry-After: 1\r\n" : "", why);
    server_set_phase(conn, CONN_REFUSED);
    if (status == 503)
        conn->server->counts.turned_away++;
    else
        conn->server->counts.heads_refused++;
    if (send(conn->fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length ||
        shutdown(conn->fd, SHUT_WR) != 0) {
        gate_close(conn);
        return;
    }
    server_set_deadline(conn, clock_mono_us() + GATE_LINGER_US);
    gate_watch(conn);
}

static void gate_drain(struct httpd_conn *conn)
{
    char *scratch = conn->server->scratch;
    for (int rounds = 0; rounds < 256; rounds++) {
        ssize_t n = recv(conn->fd, scratch, sizeof conn->server->scratch, MSG_DONTWAIT);
        if (n > 0)
            continue;
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            gate_close(conn);
        return;
    }
    gate_close(conn); /* it never ends */
}

static void gate_pass(struct httpd_conn *conn)
{
    struct httpd *server = conn->server;
    if (conn->watched && epoll_ctl(server->heads, EPOLL_CTL_DEL, conn->fd, NULL) != 0) {
        gate_close(conn);
        return;
    }
    server_set_phase(conn, CONN_BODY);
    server->adding = conn;
    enum MHD_Result added =
        MHD_add_connection(server->daemon, conn->fd, &conn->peer.any, conn->peer_bytes);
    /* On failure it has closed the socket, and may have told of that. */
    if (added != MHD_YES && server->adding == conn)
        server_forget(conn);
    server->adding = NULL;
    loop_defer(server->loop, &server->daemon_soon);
}

/* The head is well: who sent it is known now. */
static void gate_admit(struct httpd_conn *conn, size_t length)
{
    const struct httpd *server = conn->server;
    const struct httpd_options *options = &server->options;
    if (origin_list_has(&options->proxies, &conn->client)) {
        forwarded_client(server->scratch, length, options->forwarded, &options->proxies,
                         &conn->client);
        if (!server_count(conn)) {
            gate_refuse(conn, 503, "too many connections from this address");
            return;
        }
    }
    gate_pass(conn);
}

static void gate_look(struct httpd_conn *conn, bool ends)
{
    struct httpd *server = conn->server;
    ssize_t n = recv(conn->fd, server->scratch, sizeof server->scratch, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        gate_close(conn);
        return;
    }
    struct head_verdict verdict = {0};
    if (n > 0)
        verdict = head_judge(server->scratch, (size_t)n, server->options.max_body);
    if (verdict.status)
        gate_refuse(conn, verdict.status, verdict.why);
    else if (verdict.complete)
        gate_admit(conn, (size_t)n);
    else if (ends && n > 0)
        gate_close(conn);
    else
        gate_watch(conn);
}

/* Most heads have come before their connection is accepted. */
void gate_take(struct httpd_conn *conn)
{
    gate_look(conn, false);
}

void gate_on_heads(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    struct httpd *server = watcher->data;
    struct epoll_event ready[GATE_EVENTS];
    (void)ev, (void)events;
    int count = epoll_wait(server->heads, ready, GATE_EVENTS, 0);
    for (int i = 0; i < count; i++) {
        struct httpd_conn *conn = ready[i].data.ptr;
        if (conn->phase == CONN_REFUSED)
            gate_drain(conn);
        else
            gate_look(conn, ready[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    }
}
