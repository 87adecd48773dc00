/* Where to connect: libpq's conninfo with errand's defaults for finding a dead peer, and host names
 * resolved off the loop (libpq itself would block on them). */
#ifndef DB_TARGET_H
#define DB_TARGET_H

#include "base/err.h"
#include "loop/loop.h"

#include <stddef.h>

enum { TARGET_MAX_OPTIONS = 64 };

struct target {
    const char *keywords[TARGET_MAX_OPTIONS + 1]; /* for PQconnectStartParams */
    const char *values[TARGET_MAX_OPTIONS + 1];
    size_t count;
    char *hosts, *ports; /* as given, comma lists; NULL when nothing is to be resolved */
    struct target_resolution *resolution;
    char resolve_error[256];
};

/* Defaults that conninfo leaves open: keepalives_idle 10 s, _interval 5 s, _count 3,
 * tcp_user_timeout 15 s (with both a silent cut is found in 12-16 s in every state; libpq's own
 * defaults: never), target_session_attrs=read-write when there are several hosts, application_name.
 * False when conninfo does not parse. */
bool target_init(struct target *target, const char *conninfo, const char *application_name,
                 struct err *err);
void target_clear(struct target *target);

/* Sets hostaddr from host on a thread where host is a name (each of its addresses is tried, as
 * libpq would); *done_at_once when there is nothing to resolve. Otherwise on_done(owner) comes
 * later; target must live until then. False: no thread. */
bool target_resolve(struct target *target, struct loop *loop, void (*on_done)(void *owner),
                    void *owner, bool *done_at_once, struct err *err);
/* After on_done: what went wrong, "" when nothing did. */
const char *target_resolve_error(const struct target *target);

#endif
