#include "httpd/listen.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096 /* the system may allow fewer */, LISTEN_FIRST_FD = 3 };

union listen_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static void listen_add(struct listen_set *set, int fd, const char *name, const char *path)
{
    set->sockets[set->count++] = (struct listen_socket){
        .fd = fd, .name = mem_strdup(name), .path = path ? mem_strdup(path) : NULL};
}

/* "127.0.0.1:8080", "[::1]:8080", "*:8080", "localhost:8080" */
static bool listen_parse(const char *place, union listen_address *address, socklen_t *length)
{
    char host[64] = "";
    const char *colon = strrchr(place, ':');
    char *end = NULL;
    if (!colon || colon[1] < '0' || colon[1] > '9' || (size_t)(colon - place) >= sizeof host)
        return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port < 1 || port > 65535)
        return false;
    memcpy(host, place, (size_t)(colon - place));
    size_t bytes = strlen(host);
    memset(address, 0, sizeof *address);
    if (host[0] == '[' && host[bytes - 1] == ']') {
        host[bytes - 1] = '\0';
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)port);
        *length = sizeof address->v6;
        return inet_pton(AF_INET6, host + 1, &address->v6.sin6_addr) == 1;
    }
    const char *numeric = strcmp(host, "localhost") == 0 ? "127.0.0.1"
                          : strcmp(host, "*") == 0       ? "0.0.0.0"
                                                         : host;
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons((uint16_t)port);
    *length = sizeof address->v4;
    return inet_pton(AF_INET, numeric, &address->v4.sin_addr) == 1;
}

/* A socket file that nobody listens at, left by a process that was killed, is in nobody's way. */
static bool listen_remove_stale(const union listen_address *address, socklen_t length)
{
    struct stat about;
    const char *path = address->local.sun_path;
    if (lstat(path, &about) != 0 || !S_ISSOCK(about.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool stale = fd >= 0 && connect(fd, &address->any, length) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return stale && unlink(path) == 0;
}

static bool listen_bind(int fd, const union listen_address *address, socklen_t length)
{
    const int on = 1;
    if (address->any.sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, &address->any, length) == 0)
        return true;
    return errno == EADDRINUSE && address->any.sa_family == AF_UNIX &&
           listen_remove_stale(address, length) && bind(fd, &address->any, length) == 0;
}

static bool listen_place(struct listen_set *set, const char *place, struct err *err)
{
    union listen_address address;
    socklen_t length = sizeof address.local;
    if (set->count == LISTEN_MAX)
        return err_set(err, ERR_CONFIG, "http_listen: more than %d places", LISTEN_MAX);
    if (*place == '/') {
        memset(&address, 0, sizeof address);
        address.local.sun_family = AF_UNIX;
        if (strlen(place) >= sizeof address.local.sun_path)
            return err_set(err, ERR_CONFIG, "http_listen: the path %s is too long", place);
        memcpy(address.local.sun_path, place, strlen(place));
    } else if (!listen_parse(place, &address, &length)) {
        return err_set(err, ERR_CONFIG,
                       "http_listen: %s is no place to listen: ADDRESS:PORT, [ADDRESS]:PORT, "
                       "*:PORT or the path of a unix socket",
                       place);
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || !listen_bind(fd, &address, length) || listen(fd, LISTEN_BACKLOG) != 0) {
        err_set(err, ERR_CONFIG, "http_listen: cannot listen at %s: %s", place, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    listen_add(set, fd, place, *place == '/' ? place : NULL);
    return true;
}

/* sd_listen_fds(3), without its library. */
static bool listen_inherit(struct listen_set *set, struct err *err)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    if (!pid || !fds || strtol(pid, NULL, 10) != (long)getpid())
        return true;
    long count = strtol(fds, NULL, 10);
    if (count < 0 || count > LISTEN_MAX)
        return err_set(err, ERR_CONFIG, "LISTEN_FDS: %s sockets, at most %d", fds, LISTEN_MAX);
    for (int fd = LISTEN_FIRST_FD; fd < LISTEN_FIRST_FD + count; fd++) {
        int listens = 0, type = 0;
        socklen_t length = sizeof listens, type_length = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || !listens ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) != 0 || type != SOCK_STREAM)
            return err_set(err, ERR_CONFIG,
                           "LISTEN_FDS: file descriptor %d is no listening stream socket", fd);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        listen_add(set, fd, "systemd", NULL);
    }
    return true;
}

bool listen_open(struct listen_set *set, const char *spec, struct err *err)
{
    *set = (struct listen_set){0};
    bool ok = listen_inherit(set, err);
    if (spec && ok) {
        char *copy = mem_strdup(spec), *rest = copy;
        for (char *place; ok && (place = strsep(&rest, ", "));)
            ok = !*place || listen_place(set, place, err);
        free(copy);
    }
    if (!ok)
        listen_close(set);
    return ok;
}

void listen_close(struct listen_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct listen_socket *one = &set->sockets[i];
        if (one->path)
            unlink(one->path);
        close(one->fd);
        free(one->name);
        free(one->path);
    }
    set->count = 0;
}
