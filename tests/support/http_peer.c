#include "support/http_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_BYTES = 1 << 20 };

int http_peer_port;
atomic_int http_peer_requests, http_peer_connections;
static int peer_fd;
static pthread_t peer_thread;

struct exchange {
    int fd;
    char *request; /* whole, NUL-terminated */
    size_t length;
};

static void say(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        length -= (size_t)sent;
    }
}

static void say_text(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

/* Until the other side closes. */
static void wait_for_end(int fd)
{
    char rest[256];
    while (recv(fd, rest, sizeof rest, 0) > 0)
        continue;
}

static bool read_request(struct exchange *exchange)
{
    const char *end;
    size_t wanted = SIZE_MAX;
    exchange->length = 0;
    while (exchange->length < wanted) {
        ssize_t got = recv(exchange->fd, exchange->request + exchange->length,
                           REQUEST_BYTES - exchange->length, 0);
        if (got <= 0)
            return false;
        exchange->length += (size_t)got;
        exchange->request[exchange->length] = '\0';
        if (wanted == SIZE_MAX && (end = strstr(exchange->request, "\r\n\r\n"))) {
            const char *length = strcasestr(exchange->request, "content-length:");
            wanted = (size_t)(end + 4 - exchange->request) +
                     (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
        }
    }
    return true;
}

static void answer_echo(const struct exchange *exchange)
{
    char head[256];
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nX-Test: one\r\nx-TEST:   two\r\nX-Empty:\r\nContent-Length: "
             "%zu\r\n\r\n",
             exchange->length);
    say_text(exchange->fd, head);
    say(exchange->fd, exchange->request, exchange->length);
}

static void answer_big(int fd)
{
    char *body = calloc(1, HTTP_PEER_BIG_BYTES);
    char head[128];
    memset(body, 'x', HTTP_PEER_BIG_BYTES);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
             HTTP_PEER_BIG_BYTES);
    say_text(fd, head);
    say(fd, body, HTTP_PEER_BIG_BYTES);
    free(body);
}

static void answer_headers(int fd)
{
    char line[1024];
    memset(line, 'h', sizeof line);
    memcpy(line, "X-Long: ", 8);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    say_text(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 200; i++)
        say(fd, line, sizeof line);
    say_text(fd, "Content-Length: 0\r\n\r\n");
}

static void answer(const struct exchange *exchange)
{
    const char *path = strchr(exchange->request, ' ') + 1;
    int fd = exchange->fd;
    if (strncmp(path, "/echo", 5) == 0 || strncmp(path, "/keep", 5) == 0)
        answer_echo(exchange);
    else if (strncmp(path, "/empty", 6) == 0)
        say_text(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    else if (strncmp(path, "/busy", 5) == 0)
        say_text(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy");
    else if (strncmp(path, "/moved", 6) == 0)
        say_text(fd, "HTTP/1.1 302 Moved\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(path, "/continue", 9) == 0)
        say_text(
            fd, "HTTP/1.1 100 Continue\r\nX-Test: early\r\n\r\nHTTP/1.1 200 OK\r\nX-Other: late\r\n"
                "Content-Length: 2\r\n\r\nok");
    else if (strncmp(path, "/head-only", 10) == 0)
        say_text(fd, "HTTP/1.1 200 OK\r\nContent-Le");
    else if (strncmp(path, "/half", 5) == 0)
        say_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    else if (strncmp(path, "/garbage", 8) == 0)
        say_text(fd, "\x01\x02\x03 no protocol at all\r\n\r\n");
    else if (strncmp(path, "/big", 4) == 0)
        answer_big(fd);
    else if (strncmp(path, "/headers", 8) == 0)
        answer_headers(fd);
    else if (strncmp(path, "/silent", 7) == 0)
        wait_for_end(fd);
    else if (strncmp(path, "/drip", 5) == 0) {
        say_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx");
        wait_for_end(fd);
    }
    /* "/close": nothing */
}

static void *serve_one(void *owner)
{
    struct exchange exchange = {.fd = *(int *)owner, .request = malloc(REQUEST_BYTES + 1)};
    free(owner);
    atomic_fetch_add(&http_peer_connections, 1);
    for (bool keep = true; keep && read_request(&exchange);) {
        keep = strncmp(strchr(exchange.request, ' '), " /keep", 6) == 0;
        atomic_fetch_add(&http_peer_requests, 1);
        answer(&exchange);
    }
    close(exchange.fd);
    free(exchange.request);
    return NULL;
}

static void *serve(void *owner)
{
    (void)owner;
    for (int fd; (fd = accept(peer_fd, NULL, NULL)) >= 0;) {
        pthread_t thread;
        int *given = malloc(sizeof *given);
        *given = fd;
        if (pthread_create(&thread, NULL, serve_one, given) == 0)
            pthread_detach(thread);
    }
    return NULL;
}

int http_peer_listen(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

int http_peer_start(void **state)
{
    (void)state;
    peer_fd = http_peer_listen(&http_peer_port);
    return pthread_create(&peer_thread, NULL, serve, NULL);
}

int http_peer_stop(void **state)
{
    (void)state;
    shutdown(peer_fd, SHUT_RDWR);
    pthread_join(peer_thread, NULL);
    close(peer_fd);
    return 0;
}
