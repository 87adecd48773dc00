/* The server's state, shared by the files of this folder and nobody else. */
#ifndef HTTPD_SERVER_H
#define HTTPD_SERVER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/heap.h"
#include "httpd/crowd.h"
#include "httpd/head.h"
#include "httpd/httpd.h"
#include "httpd/listen.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdint.h>

/* What is looked at of a request that is not let pass yet: a head of any size, or both where the
 * body is small. */
enum { GATE_BYTES = 2 * HEAD_MAX_BYTES };

enum conn_phase {
    CONN_HEAD,     /* the head (and a small body) is looked at, not read */
    CONN_REFUSED,  /* answered; what still comes is thrown away */
    CONN_BODY,     /* libmicrohttpd has it */
    CONN_HANDLING, /* suspended: the handler has the request */
    CONN_ANSWERING
};

struct httpd_conn {
    struct httpd *server;
    struct httpd_conn *prev, *next;                 /* of all */
    struct httpd_conn *prev_waiting, *next_waiting; /* CONN_HEAD: in the order of their coming */
    enum conn_phase phase;
    int fd;
    bool watched;    /* in server->heads */
    bool answered;   /* CONN_HEAD: it may bring another request, or none */
    bool spoken_for; /* by a proxy we trust: client is the one behind it */
    struct heap_item in_deadlines;
    int64_t deadline_us;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    socklen_t peer_bytes;
    struct origin client;        /* of the peer, or whom it speaks for */
    struct crowd_member *member; /* where it counts; NULL: nowhere (yet) */
    struct MHD_Connection *mhd;
    struct exchange *exchange; /* from CONN_BODY on, until it is answered */
    struct MHD_Response *response;
    int status;
};

struct httpd {
    struct loop *loop;
    struct httpd_options options;
    struct listen_set places;
    struct ev_io accepts[LISTEN_MAX];
    struct loop_timer accept_again;
    struct MHD_Daemon *daemon;
    struct ev_io daemon_io, heads_io;
    struct loop_timer daemon_timer, deadlines;
    struct loop_deferred daemon_soon, quiet_soon;
    int heads; /* epoll, edge-triggered: a head that is still incomplete stays in its socket */
    struct httpd_conn *conns, *waiting, *adding;
    struct heap by_deadline;
    struct crowd crowd;
    size_t count;
    struct httpd_counts counts; /* but for connections */
    bool stopping;
    char scratch[GATE_BYTES + 1];
};

/* server.c */
void server_set_deadline(struct httpd_conn *conn, int64_t at_us); /* INT64_MAX: none */
void server_set_phase(struct httpd_conn *conn, enum conn_phase phase);
void server_expect_another(struct httpd_conn *conn); /* CONN_HEAD: its request was answered */
void server_close(struct httpd_conn *conn);          /* of those that libmicrohttpd has not */
bool server_count(struct httpd_conn *conn); /* by its client; false: that one has too many */
void server_forget(
    struct httpd_conn *conn); /* its socket is closed, or about to be by libmicrohttpd */

/* gate.c */
void gate_take(struct httpd_conn *conn); /* a new one; it may be gone when this returns */
void gate_on_heads(struct ev_loop *ev, struct ev_io *watcher, int events);
void gate_refuse(struct httpd_conn *conn, int status, const char *why);
bool gate_is_silent(const struct httpd_conn *conn); /* nothing stands there to be looked at */

/* say.c: false: the client has not got all of it */
bool say_answer(int fd, const struct httpd_answer *answer, bool keeps, bool with_body);

/* sight.c: a request that has come whole, read where it lies. */
struct sight {
    struct httpd_request request;
    struct httpd_header headers[HEAD_MAX_FIELDS];
};

/* data: judged well, and writable up to the byte behind the body. False: the path is not what it
 * looks like. */
bool sight_read(struct sight *sight, char *data, const struct head_verdict *verdict);

/* exchange.c */
enum MHD_Result exchange_on_request(void *owner, struct MHD_Connection *mhd, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *length, void **context);
void exchange_on_connection(void *owner, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code);
void exchange_give_up(struct httpd_conn *conn, int status, const char *why);

#endif
