/* One request and its answer, between libmicrohttpd and the handler. */
#include "httpd/server.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { EXCHANGE_ANSWER_US = 5000000, EXCHANGE_WASTE = 8 };

struct exchange {
    struct httpd_request request; /* the first: an exchange is found by it */
    struct httpd_conn *conn;      /* NULL: it does not wait any more */
    struct arena arena;
    struct buf body;
    size_t received;
    const struct httpd_header **last;
};

static struct exchange *exchange_new(struct httpd_conn *conn, const char *method, const char *path)
{
    struct exchange *exchange = mem_zalloc(sizeof *exchange);
    exchange->conn = conn;
    arena_init(&exchange->arena);
    buf_init(&exchange->body, conn->server->options.max_body);
    exchange->last = &exchange->request.headers;
    exchange->request.method = arena_strdup(&exchange->arena, method);
    exchange->request.path = arena_strdup(&exchange->arena, path);
    origin_text(&conn->client, exchange->request.client);
    return exchange;
}

static void exchange_free(struct exchange *exchange)
{
    buf_clear(&exchange->body);
    arena_clear(&exchange->arena);
    free(exchange);
}

/* ---- The answer ---- */

static void response_add_headers(struct MHD_Response *response, const struct httpd_answer *answer)
{
    char seconds[16];
    MHD_add_response_header(response, "Content-Type",
                            answer->type ? answer->type : "text/plain; charset=utf-8");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Connection", "close");
    if (answer->allow)
        MHD_add_response_header(response, "Allow", answer->allow);
    if (answer->retry_after_s) {
        snprintf(seconds, sizeof seconds, "%d", answer->retry_after_s);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
}

static bool conn_says_no_more(const struct httpd_conn *conn)
{
    char byte;
    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void conn_make_response(struct httpd_conn *conn, const struct httpd_answer *answer)
{
    conn->response = MHD_create_response_from_buffer(
        answer->length, (void *)(uintptr_t)answer->body, MHD_RESPMEM_MUST_COPY);
    if (conn->response)
        response_add_headers(conn->response, answer);
}

/* libmicrohttpd gives up on a client that has said all it will, so that one is told past it. */
static void conn_answer(struct httpd_conn *conn, const struct httpd_answer *answer)
{
    bool with_body = strcmp(conn->exchange->request.method, "HEAD") != 0;
    conn->exchange = NULL;
    server_set_phase(conn, CONN_ANSWERING);
    conn->status = answer->status;
    int class = answer->status / 100;
    conn->server->counts.answers[class < HTTPD_CLASSES ? class : 0]++;
    if (conn_says_no_more(conn))
        say_answer(conn->fd, answer, false, with_body);
    else
        conn_make_response(conn, answer);
    server_set_deadline(conn, clock_mono_us() + EXCHANGE_ANSWER_US);
    MHD_resume_connection(conn->mhd);
    loop_defer(conn->server->loop, &conn->server->daemon_soon);
}

void httpd_answer(struct httpd_request *request, const struct httpd_answer *answer)
{
    struct exchange *exchange = (struct exchange *)request;
    if (exchange->conn)
        conn_answer(exchange->conn, answer);
    exchange_free(exchange);
}

/* The handler still has the request. */
void exchange_give_up(struct httpd_conn *conn, int status, const char *why)
{
    struct httpd_answer answer = {.status = status, .body = why, .length = strlen(why)};
    struct exchange *exchange = conn->exchange;
    conn_answer(conn, &answer);
    exchange->conn = NULL;
}

/* ---- The request ---- */

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct exchange *exchange = context;
    (void)kind;
    struct httpd_header *header = arena_alloc(&exchange->arena, sizeof *header);
    *header = (struct httpd_header){.name = arena_strdup(&exchange->arena, name),
                                    .value = arena_strdup(&exchange->arena, value ? value : "")};
    *exchange->last = header;
    exchange->last = &header->next;
    return MHD_YES;
}

static void exchange_deliver(struct exchange *exchange)
{
    static const char too_large[] = "the body is too large\n";
    struct httpd_conn *conn = exchange->conn;
    const struct httpd_options *options = &conn->server->options;
    server_set_phase(conn, CONN_HANDLING);
    MHD_get_connection_values(conn->mhd, MHD_HEADER_KIND, on_header, exchange);
    MHD_suspend_connection(conn->mhd);
    exchange->request.body = buf_text(&exchange->body);
    exchange->request.body_length = exchange->body.length;
    if (exchange->received > options->max_body)
        httpd_answer(&exchange->request, &(struct httpd_answer){.status = 413,
                                                                .body = too_large,
                                                                .length = sizeof too_large - 1});
    else
        options->handle(&exchange->request, options->owner);
}

enum MHD_Result exchange_on_request(void *owner, struct MHD_Connection *mhd, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *length, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct httpd_conn *conn = info->socket_context;
    (void)owner, (void)version;
    if (!*context) {
        *context = conn;
        if (conn->exchange || conn->phase != CONN_BODY)
            return MHD_NO; /* a second request: each connection brings one */
        conn->exchange = exchange_new(conn, method, url);
        return MHD_YES;
    }
    if (conn->phase == CONN_ANSWERING) {
        *length = 0;
        return conn->response ? MHD_queue_response(mhd, (unsigned)conn->status, conn->response)
                              : MHD_NO;
    }
    struct exchange *exchange = conn->exchange;
    if (*length) {
        exchange->received += *length;
        if (exchange->received > EXCHANGE_WASTE * conn->server->options.max_body)
            return MHD_NO;
        if (exchange->received <= conn->server->options.max_body)
            buf_add(&exchange->body, data, *length);
        *length = 0;
        return MHD_YES;
    }
    if (conn->phase == CONN_BODY)
        exchange_deliver(exchange);
    return MHD_YES;
}

void exchange_on_connection(void *owner, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code)
{
    struct httpd *server = owner;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = server->adding;
        server->adding->mhd = mhd;
        return;
    }
    struct httpd_conn *conn = *context;
    if (conn == server->adding)
        server->adding = NULL;
    if (conn->exchange && conn->phase == CONN_HANDLING)
        conn->exchange->conn = NULL;
    else if (conn->exchange)
        exchange_free(conn->exchange);
    server_forget(conn);
}
