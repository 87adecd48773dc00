/* Connections whose request has not been let pass yet. It is peeked at, so that libmicrohttpd,
 * which is laxer than we are, finds it untouched; what is refused at sight costs neither that nor,
 * where more comes, another connection. */
#include "httpd/server.h"

#include "base/clock.h"
#include "httpd/chunks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { GATE_EVENTS = 64, GATE_LINGER_US = 2000000 };

/* Tells at once of what has come already. */
static void gate_watch(struct httpd_conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    if (conn->watched)
        return;
    conn->watched = true;
    if (epoll_ctl(conn->server->heads, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        server_close(conn);
}

static bool gate_say(struct httpd_conn *conn, int status, const char *why, bool keeps)
{
    char line[160];
    int length = snprintf(line, sizeof line, "%s\n", why);
    const struct httpd_answer answer = {.status = status,
                                        .retry_after_s = status == 503 ? 1 : 0,
                                        .body = line,
                                        .length = (size_t)length};
    return say_answer(conn->fd, &answer, keeps, true);
}

/* Says no more, and throws what still comes away for a while: closing before it is read would reset
 * the connection, and the answer with it. */
static void gate_linger(struct httpd_conn *conn)
{
    server_set_phase(conn, CONN_REFUSED);
    if (shutdown(conn->fd, SHUT_WR) != 0) {
        server_close(conn);
        return;
    }
    server_set_deadline(conn, clock_mono_us() + GATE_LINGER_US);
    gate_watch(conn);
}

void gate_refuse(struct httpd_conn *conn, int status, const char *why)
{
    if (status == 503)
        conn->server->counts.turned_away++;
    else
        conn->server->counts.heads_refused++;
    if (gate_say(conn, status, why, false))
        gate_linger(conn);
    else
        server_close(conn);
}

bool gate_is_silent(const struct httpd_conn *conn)
{
    char byte;
    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static void gate_drain(struct httpd_conn *conn)
{
    char *scratch = conn->server->scratch;
    for (int rounds = 0; rounds < 256; rounds++) {
        ssize_t n = recv(conn->fd, scratch, sizeof conn->server->scratch, MSG_DONTWAIT);
        if (n > 0)
            continue;
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            server_close(conn);
        return;
    }
    server_close(conn); /* it never ends */
}

static void gate_pass(struct httpd_conn *conn)
{
    struct httpd *server = conn->server;
    if (conn->watched && epoll_ctl(server->heads, EPOLL_CTL_DEL, conn->fd, NULL) != 0) {
        server_close(conn);
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

/* ---- At sight ---- */

/* Who waits for the answer before sending more may send more. What has come behind the request is
 * never taken for another one, as a proxy that reads lengths in another way than we do would hold
 * it for a part of this one; and where a proxy mixes clients, each request has a connection of its
 * own. */
static bool gate_may_keep(const struct httpd_conn *conn, const struct head_verdict *verdict,
                          size_t bytes)
{
    return verdict->keeps && bytes == verdict->head_bytes + verdict->body_bytes &&
           !conn->spoken_for && !conn->server->stopping;
}

static void gate_expect_another(struct httpd_conn *conn)
{
    server_expect_another(conn);
    gate_watch(conn);
}

static void gate_answer(struct httpd_conn *conn, const struct head_verdict *verdict, bool keeps,
                        const struct httpd_refusal *refusal)
{
    struct httpd *server = conn->server;
    size_t bytes = verdict->head_bytes + verdict->body_bytes;
    server->counts.answers[refusal->status / 100]++;
    if (recv(conn->fd, server->scratch, bytes, MSG_DONTWAIT) != (ssize_t)bytes ||
        !gate_say(conn, refusal->status, refusal->why, keeps))
        server_close(conn);
    else if (!keeps)
        gate_linger(conn);
    else
        gate_expect_another(conn);
}

static bool gate_refuses(struct httpd_conn *conn, const struct head_verdict *verdict, size_t bytes,
                         struct httpd_refusal *refusal)
{
    struct httpd *server = conn->server;
    struct sight sight;
    if (!server->options.refuses || !verdict->is_plain ||
        verdict->head_bytes + verdict->body_bytes > bytes ||
        !sight_read(&sight, server->scratch, verdict))
        return false;
    origin_text(&conn->client, sight.request.client);
    return server->options.refuses(&sight.request, refusal, server->options.owner);
}

/* ---- Looking ---- */

/* The head is well: who sent it is known now. False: that one has too many connections. */
static bool gate_knows(struct httpd_conn *conn, const struct head_verdict *verdict)
{
    const struct httpd *server = conn->server;
    const struct httpd_options *options = &server->options;
    if (conn->spoken_for || !origin_list_has(&options->proxies, &conn->client))
        return true;
    conn->spoken_for = true;
    forwarded_client(server->scratch, verdict->head_bytes, options->forwarded, &options->proxies,
                     &conn->client);
    return server_count(conn);
}

static void gate_admit(struct httpd_conn *conn, const struct head_verdict *verdict, size_t bytes,
                       bool keeps)
{
    struct httpd_refusal refusal;
    if (gate_refuses(conn, verdict, bytes, &refusal))
        gate_answer(conn, verdict, keeps, &refusal);
    else
        gate_pass(conn);
}

/* A small body is waited for here, too; but not over a unix socket, which has room for few pieces,
 * however small they are. */
static bool gate_waits(const struct httpd_conn *conn, const struct head_verdict *verdict,
                       size_t bytes, enum chunks_verdict chunks)
{
    size_t whole = verdict->head_bytes + verdict->body_bytes;
    if (!verdict->complete)
        return true;
    if (conn->peer.any.sa_family == AF_UNIX)
        return false;
    return verdict->is_chunked ? chunks == CHUNKS_MORE && bytes < GATE_BYTES
                               : verdict->is_plain && whole <= GATE_BYTES && bytes < whole;
}

/* Of what has come. Larger bodies are libmicrohttpd's; behind none of them anything is read. */
static enum chunks_verdict gate_chunks(const struct httpd_conn *conn,
                                       const struct head_verdict *verdict, size_t bytes)
{
    if (!verdict->is_chunked)
        return CHUNKS_WHOLE;
    return chunks_judge(conn->server->scratch + verdict->head_bytes, bytes - verdict->head_bytes);
}

static void gate_look(struct httpd_conn *conn, bool ends)
{
    struct httpd *server = conn->server;
    ssize_t n = recv(conn->fd, server->scratch, GATE_BYTES, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        server_close(conn);
        return;
    }
    size_t bytes = n > 0 ? (size_t)n : 0;
    struct head_verdict verdict = {0};
    if (bytes)
        verdict = head_judge(server->scratch, bytes, server->options.max_body);
    enum chunks_verdict chunks = gate_chunks(conn, &verdict, bytes);
    if (verdict.status)
        gate_refuse(conn, verdict.status, verdict.why);
    else if (chunks == CHUNKS_BAD)
        gate_refuse(conn, 400, "the body's chunks are malformed");
    else if (verdict.complete && !gate_knows(conn, &verdict))
        gate_refuse(conn, 503, "too many connections from this address");
    else if (!gate_waits(conn, &verdict, bytes, chunks))
        gate_admit(conn, &verdict, bytes, !ends && gate_may_keep(conn, &verdict, bytes));
    else if (ends && bytes)
        server_close(conn);
    else
        gate_watch(conn);
}

/* Most requests have come before their connection is accepted. */
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
