/* The other side of HTTP for unit tests, on threads of the test's own: what it does follows from
 * the path (/echo, /empty, /busy, /moved, /half, /big, /silent, ...). One request a connection, but
 * for /keep, which is as /echo and takes the next. */
#ifndef SUPPORT_HTTP_PEER_H
#define SUPPORT_HTTP_PEER_H

#include <stdatomic.h>

enum { HTTP_PEER_BIG_BYTES = 2 << 20 }; /* the body of /big */

extern int http_peer_port;            /* on loopback */
extern atomic_int http_peer_requests; /* that came whole */
extern atomic_int http_peer_connections;

/* A listening socket on loopback, on a free port. */
int http_peer_listen(int *port);

/* Set-up and tear-down of a group of tests. */
int http_peer_start(void **state);
int http_peer_stop(void **state);

#endif
