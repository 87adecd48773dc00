/* The HTTP server on the loop (libmicrohttpd). Mechanism only: listening, limits, deadlines, whole
 * requests in, whole answers out. A connection is closed behind its answer, and what came behind
 * its request is never read; but one whose request was refused at sight may bring another. */
#ifndef HTTPD_HTTPD_H
#define HTTPD_HTTPD_H

#include "base/err.h"
#include "httpd/forwarded.h"
#include "httpd/origin.h"
#include "loop/loop.h"

#include <stddef.h>
#include <stdint.h>

struct httpd;
struct httpd_conn;

struct httpd_header {
    const char *name, *value;
    const struct httpd_header *next; /* in the order of their coming */
};

/* A whole request. Everything in it lives until it is answered. */
struct httpd_request {
    const char *method, *path; /* path: decoded, without the query */
    const char *body;          /* as it came, raw; a NUL stands behind it */
    size_t body_length;
    const struct httpd_header *headers;
    char client[ORIGIN_TEXT_BYTES]; /* the address of who sent it, or for whom a proxy did */
};

enum { HTTPD_CLASSES = 6 };

struct httpd_answer {
    int status;
    const char *type;  /* NULL: text/plain */
    const char *allow; /* of a 405; else NULL */
    int retry_after_s; /* 0: none */
    const char *body;  /* copied */
    size_t length;
};

/* Answers and frees the request: once for each, from handle or at any time later from the loop. The
 * client may be gone by then, or told 503 because the deadline had passed: that is no error. */
void httpd_answer(struct httpd_request *request, const struct httpd_answer *answer);

struct httpd_refusal {
    int status;
    const char *why; /* a clause; lives on */
};

struct httpd_options {
    const char *listen; /* as listen_open takes it */
    long long deadline_ms;
    size_t connections, connections_per_address;
    struct origin_list proxies; /* whose word on the client's address counts, in that header */
    enum forwarded_header forwarded;
    size_t max_body;
    /* Whether to refuse at sight what handle would refuse, without its being handed on: asked of
     * most small requests, before libmicrohttpd has them. NULL: nothing. The request lives for the
     * call. */
    bool (*refuses)(const struct httpd_request *request, struct httpd_refusal *refusal,
                    void *owner);
    void (*handle)(struct httpd_request *request, void *owner);
    void (*on_quiet)(void *owner); /* after httpd_stop: nothing is under way any more */
    void *owner;
};

/* *server is NULL where there is nothing to listen at. */
bool httpd_new(struct httpd **server, struct loop *loop, const struct httpd_options *options,
               struct err *err);

struct httpd_counts {
    size_t connections;              /* now */
    uint64_t accepted;               /* connections, since it began, and of them: */
    uint64_t turned_away;            /* closed or told 503, because there were too many */
    uint64_t heads_refused;          /* malformed, too large, too slow */
    uint64_t answers[HTTPD_CLASSES]; /* by the status's first digit; [0] is others */
};

void httpd_counts(const struct httpd *server, struct httpd_counts *counts);
void httpd_stop(struct httpd *server); /* no new connections; those under way are answered */
bool httpd_is_quiet(const struct httpd *server);
/* Whoever still holds a request may answer it afterwards. */
void httpd_free(struct httpd *server);

#endif
