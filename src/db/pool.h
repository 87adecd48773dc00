/* A pool of connections to one database: units wait in order, each connection carries one unit at a
 * time. Connections are opened when there is work for them (or kept, for one that listens), and
 * opened anew, after a pause with jitter, when they break. Knows nothing of what the statements
 * mean. */
#ifndef DB_POOL_H
#define DB_POOL_H

#include "db/statement_text.h"
#include "db/unit.h"
#include "loop/loop.h"

struct db_conn;
struct db_pool;

struct db_pool_options {
    const char *name;     /* behind application_name, and in log lines */
    const char *conninfo; /* libpq's: key=value or URI; "" takes PG* variables */
    const char *schema;   /* of errand; NULL: errand. Borrowed */
    size_t size;          /* connections at most */
    int statement_ms;     /* how long the server lets a statement run; 0: no limit */
    int lock_ms;          /* how long a statement waits for a lock; 0: no limit */
    bool keep;            /* the first connection is opened at once and kept */
    /* For a pool that keeps: it is up (again; units may be submitted), it is down (why), it was
     * told something. */
    void (*on_up)(struct db_pool *pool, void *owner);
    void (*on_down)(struct db_pool *pool, const struct err *err, void *owner);
    void (*on_notify)(const char *channel, const char *payload, void *owner);
    /* Every unit that was sent, when it has ended, before its own on_done; NULL: nobody looks. */
    void (*on_unit)(const struct db_unit *unit, void *owner);
    void *owner;
};

struct db_pool {
    struct loop *loop;
    struct db_pool_options options;
    struct db_conn **conns;
    struct statement_texts texts;
    char statement_ms[16], lock_ms[16];
    struct db_unit *first, **last; /* waiting */
    size_t waiting;
    bool closed;
    struct loop_timer expiry; /* of the waiting units' deadlines */
    uint64_t statement_count;
    uint64_t opened, failed; /* connections: that came to stand; that broke, or never stood */
};

struct db_pool_counts {
    const char *name;
    size_t most, open; /* connections */
    size_t waiting;    /* units, for one */
    uint64_t opened, failed, statements;
};

void db_pool_init(struct db_pool *pool, struct loop *loop, const struct db_pool_options *options);
void db_pool_clear(
    struct db_pool *pool); /* what waits or runs ends with ERR_CANCELLED, within the call */

/* Takes the unit over. on_done comes later, never inside this call; when timeout_ms is over before
 * the confirmation, with ERR_TEMPORARY (never sent) or ERR_UNKNOWN_OUTCOME (sent; the connection is
 * given up). */
void db_pool_submit(struct db_pool *pool, struct db_unit *unit, int timeout_ms);
/* Takes a unit back that waits for a connection: it is freed, without on_done. False: it is on its
 * way. */
bool db_pool_withdraw(struct db_pool *pool, struct db_unit *unit);

bool db_pool_is_up(const struct db_pool *pool); /* any connection stands */
void db_pool_counts(const struct db_pool *pool, struct db_pool_counts *counts);
/* Through a transaction pooler (the server process is not the one the greeting named): no LISTEN,
 * no session state. Known once a connection stood. */
bool db_pool_is_pooled(const struct db_pool *pool);

#endif
