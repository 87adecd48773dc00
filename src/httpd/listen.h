/* Listening sockets, from the setting http_listen and from systemd. */
#ifndef HTTPD_LISTEN_H
#define HTTPD_LISTEN_H

#include "base/err.h"

#include <stddef.h>

enum { LISTEN_MAX = 16 };

struct listen_socket {
    int fd;
    char *name; /* as it was asked for */
    char *path; /* of a unix socket that we made, removed at the end; NULL: not such a one */
};

struct listen_set {
    struct listen_socket sockets[LISTEN_MAX];
    size_t count;
};

/* spec: places separated by commas, each ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or /path; NULL: none.
 * Sockets that systemd hands over (LISTEN_FDS) come besides. On failure nothing is open. */
bool listen_open(struct listen_set *set, const char *spec, struct err *err);
void listen_close(struct listen_set *set);

#endif
