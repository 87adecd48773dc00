/* The other side of HTTP in the benchmark: takes requests on loopback, as many connections as come,
 * and answers each with a small JSON body, at once (/0) or after so many milliseconds (/50).
 *
 *     answer
 *
 * Prints {"port": N} and serves until SIGTERM. One thread; what it costs is in CPU that the worker
 * and PostgreSQL do not have, as with every server on the same machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_BYTES = 16384 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 11\r\n\r\n{\"ok\":true}";

struct connection {
    ev_io io;
    ev_timer delay;
    size_t length;
    char request[REQUEST_BYTES + 1];
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void connection_end(struct ev_loop *loop, struct connection *connection)
{
    ev_io_stop(loop, &connection->io);
    ev_timer_stop(loop, &connection->delay);
    close(connection->io.fd);
    free(connection);
}

static void on_delay(struct ev_loop *loop, ev_timer *delay, int events)
{
    struct connection *connection = delay->data;
    (void)events;
    connection->length = 0;
    if (send(connection->io.fd, answer, sizeof answer - 1, MSG_NOSIGNAL) != sizeof answer - 1)
        connection_end(loop, connection);
}

/* 0: not whole yet. */
static size_t request_bytes(const struct connection *connection)
{
    const char *end = strstr(connection->request, "\r\n\r\n");
    if (!end)
        return 0;
    const char *length = strcasestr(connection->request, "\ncontent-length:");
    size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
    return (size_t)(end + 4 - connection->request) + body;
}

static void on_request(struct ev_loop *loop, struct connection *connection)
{
    const char *path = strchr(connection->request, '/');
    double wait_ms = path ? strtod(path + 1, NULL) : 0;
    if (wait_ms <= 0) {
        on_delay(loop, &connection->delay, 0);
        return;
    }
    ev_timer_set(&connection->delay, wait_ms / 1e3, 0);
    ev_timer_start(loop, &connection->delay);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *connection = io->data;
    (void)events;
    ssize_t got = recv(io->fd, connection->request + connection->length,
                       REQUEST_BYTES - connection->length, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        connection_end(loop, connection);
        return;
    }
    connection->length += (size_t)got;
    connection->request[connection->length] = '\0';
    size_t wanted = request_bytes(connection);
    if (wanted > REQUEST_BYTES)
        connection_end(loop, connection);
    else if (wanted > 0 && connection->length >= wanted)
        on_request(loop, connection);
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        die("calloc");
    ev_io_init(&connection->io, on_readable, fd, EV_READ);
    ev_timer_init(&connection->delay, on_delay, 0, 0);
    connection->io.data = connection->delay.data = connection;
    ev_io_start(loop, &connection->io);
}

static int listen_on_loopback(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 1024) != 0 || getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        die("listen");
    *port = ntohs(address.sin_port);
    return fd;
}

int main(void)
{
    int port;
    ev_io io;
    struct ev_loop *loop = ev_default_loop(0);
    ev_io_init(&io, on_connection, listen_on_loopback(&port), EV_READ);
    ev_io_start(loop, &io);
    printf("{\"port\": %d}\n", port);
    fflush(stdout);
    ev_run(loop, 0);
}
