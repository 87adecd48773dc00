#include "db/target.h"

#include "base/buf.h"
#include "base/mem.h"
#include "loop/thread.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void target_set(struct target *target, const char *keyword, const char *value)
{
    for (size_t i = 0; i < target->count; i++)
        if (strcmp(target->keywords[i], keyword) == 0) {
            free((void *)(uintptr_t)target->values[i]);
            target->values[i] = mem_strdup(value);
            return;
        }
    if (target->count == TARGET_MAX_OPTIONS)
        return;
    target->keywords[target->count] = mem_strdup(keyword);
    target->values[target->count++] = mem_strdup(value);
}

static const char *target_get(const struct target *target, const char *keyword)
{
    for (size_t i = 0; i < target->count; i++)
        if (strcmp(target->keywords[i], keyword) == 0)
            return target->values[i];
    return NULL;
}

static void target_default(struct target *target, const char *keyword, const char *value)
{
    if (!target_get(target, keyword))
        target_set(target, keyword, value);
}

static void target_add_options(struct target *target, const PQconninfoOption *options)
{
    for (const PQconninfoOption *each = options; each->keyword; each++)
        if (each->val && *each->val)
            target_set(target, each->keyword, each->val);
}

struct target_resolution {
    char *hosts, *ports;            /* comma lists; ports one, as many as hosts, or NULL */
    struct buf host, address, port; /* what libpq gets: an element for each address */
    char error[256];
    struct target *target;
    void (*on_done)(void *owner);
    void *owner;
};

static bool host_is_name(const char *host)
{
    struct in6_addr address;
    return *host && *host != '/' && *host != '@' && inet_pton(AF_INET, host, &address) != 1 &&
           inet_pton(AF_INET6, host, &address) != 1;
}

static void resolution_add(struct target_resolution *resolution, const char *host,
                           const char *address, const char *port)
{
    if (resolution->host.length) {
        buf_add_char(&resolution->host, ',');
        buf_add_char(&resolution->address, ',');
        buf_add_char(&resolution->port, ',');
    }
    buf_add_text(&resolution->host, host);
    buf_add_text(&resolution->address, address);
    buf_add_text(&resolution->port, port);
}

/* A name that does not resolve is left out, so that it does not spoil the other hosts of the list.
 */
static void resolution_look_up(struct target_resolution *resolution, const char *host,
                               const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
    int failed = getaddrinfo(host, NULL, &hints, &found);
    if (failed)
        snprintf(resolution->error, sizeof resolution->error,
                 "could not translate host name \"%s\" to address: %s", host, gai_strerror(failed));
    for (struct addrinfo *each = failed ? NULL : found; each; each = each->ai_next) {
        char text[INET6_ADDRSTRLEN + 32];
        if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, NULL, 0,
                        NI_NUMERICHOST) == 0)
            resolution_add(resolution, host, text, port);
    }
    if (!failed)
        freeaddrinfo(found);
}

static void resolution_work(void *owner)
{
    struct target_resolution *resolution = owner;
    char *hosts = resolution->hosts, *ports = resolution->ports;
    const char *port = "";
    for (char *host; (host = strsep(&hosts, ","));) {
        if (ports)
            port = strsep(&ports, ",");
        if (host_is_name(host))
            resolution_look_up(resolution, host, port);
        else
            resolution_add(resolution, host, *host == '/' || *host == '@' ? "" : host, port);
    }
}

static void resolution_free(struct target_resolution *resolution)
{
    buf_clear(&resolution->host);
    buf_clear(&resolution->address);
    buf_clear(&resolution->port);
    free(resolution->hosts);
    free(resolution->ports);
    free(resolution);
}

static void resolution_done(void *owner)
{
    struct target_resolution *resolution = owner;
    struct target *target = resolution->target;
    bool none = resolution->host.length == 0;
    snprintf(target->resolve_error, sizeof target->resolve_error, "%s",
             none ? resolution->error : "");
    if (!none) {
        target_set(target, "host", buf_text(&resolution->host));
        target_set(target, "hostaddr", buf_text(&resolution->address));
        target_set(target, "port", buf_text(&resolution->port));
    }
    void (*on_done)(void *) = resolution->on_done;
    void *then = resolution->owner;
    target->resolution = NULL;
    resolution_free(resolution);
    on_done(then);
}

static bool hosts_have_names(const char *hosts)
{
    char *copy = mem_strdup(hosts), *rest = copy;
    bool any = false;
    for (char *host; (host = strsep(&rest, ","));)
        any |= host_is_name(host);
    free(copy);
    return any;
}

bool target_resolve(struct target *target, struct loop *loop, void (*on_done)(void *owner),
                    void *owner, bool *done_at_once, struct err *err)
{
    *done_at_once = !target->hosts;
    if (!target->hosts)
        return true;
    struct target_resolution *resolution = mem_zalloc(sizeof *resolution);
    resolution->hosts = mem_strdup(target->hosts);
    resolution->ports = target->ports ? mem_strdup(target->ports) : NULL;
    resolution->target = target;
    resolution->on_done = on_done;
    resolution->owner = owner;
    if (!thread_start(loop, resolution_work, resolution_done, resolution, err)) {
        resolution_free(resolution);
        return false;
    }
    target->resolution = resolution;
    return true;
}

static void target_find_names(struct target *target)
{
    const char *hosts = target_get(target, "host"), *ports = target_get(target, "port");
    if (!hosts || target_get(target, "hostaddr") || getenv("PGHOSTADDR") ||
        !hosts_have_names(hosts))
        return;
    if (!ports)
        ports = getenv("PGPORT");
    target->hosts = mem_strdup(hosts);
    target->ports = ports && *ports ? mem_strdup(ports) : NULL;
}

bool target_init(struct target *target, const char *conninfo, const char *application_name,
                 struct err *err)
{
    *target = (struct target){0};
    char *message = NULL;
    PQconninfoOption *parsed = PQconninfoParse(conninfo ? conninfo : "", &message);
    if (!parsed) {
        err_set(err, ERR_CONFIG, "database_url: %s", message ? message : "cannot be read");
        PQfreemem(message);
        return false;
    }
    target_add_options(target, parsed);
    PQconninfoFree(parsed);
    /* libpq would add this itself; here it shows which hosts are names. */
    const char *host = getenv("PGHOST");
    if (host && *host)
        target_default(target, "host", host);
    host = target_get(target, "host");
    target_default(target, "client_encoding", "UTF8");
    target_default(target, "application_name", application_name);
    target_default(target, "keepalives_idle", "10");
    target_default(target, "keepalives_interval", "5");
    target_default(target, "keepalives_count", "3");
    target_default(target, "tcp_user_timeout", "15000");
    if (host && strchr(host, ',') && !getenv("PGTARGETSESSIONATTRS"))
        target_default(target, "target_session_attrs", "read-write");
    target_find_names(target);
    return true;
}

void target_clear(struct target *target)
{
    for (size_t i = 0; i < target->count; i++) {
        free((void *)(uintptr_t)target->keywords[i]);
        free((void *)(uintptr_t)target->values[i]);
    }
    free(target->hosts);
    free(target->ports);
    *target = (struct target){0};
}

const char *target_resolve_error(const struct target *target)
{
    return target->resolve_error;
}
