#include "db/pool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "db/conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void pool_on_expiry(void *owner);

void db_pool_init(struct db_pool *pool, struct loop *loop, const struct db_pool_options *options)
{
    *pool = (struct db_pool){.loop = loop, .options = *options};
    pool->last = &pool->first;
    snprintf(pool->statement_ms, sizeof pool->statement_ms, "%d", options->statement_ms);
    snprintf(pool->lock_ms, sizeof pool->lock_ms, "%d", options->lock_ms);
    statement_texts_init(&pool->texts, options->schema);
    pool->conns = mem_zalloc(options->size * sizeof(struct db_conn *));
    for (size_t i = 0; i < options->size; i++)
        pool->conns[i] = conn_new(pool);
    loop_timer_init(&pool->expiry, loop, pool_on_expiry, pool);
    if (options->keep)
        conn_open(pool->conns[0]);
}

static struct db_unit *pool_take(struct db_pool *pool)
{
    struct db_unit *unit = pool->first;
    if (!unit)
        return NULL;
    pool->first = unit->next;
    if (!pool->first)
        pool->last = &pool->first;
    pool->waiting--;
    unit->next = NULL;
    return unit;
}

void db_pool_clear(struct db_pool *pool)
{
    pool->closed = true;
    for (size_t i = 0; i < pool->options.size; i++)
        conn_free(pool->conns[i]);
    free(pool->conns);
    for (struct db_unit *unit; (unit = pool_take(pool));) {
        err_set(&unit->err, ERR_CANCELLED, "the connection pool is closed");
        unit->on_done(unit, unit->owner);
        db_unit_free(unit);
    }
    loop_timer_stop(&pool->expiry);
    statement_texts_clear(&pool->texts);
}

/* Sends what waits to an idle connection, or opens one more for it. */
static void pool_feed(struct db_pool *pool)
{
    for (size_t i = 0; i < pool->options.size && pool->first; i++)
        if (conn_state(pool->conns[i]) == CONN_IDLE)
            conn_submit(pool->conns[i], pool_take(pool));
    size_t opening = 0;
    for (size_t i = 0; i < pool->options.size; i++) {
        enum conn_state state = conn_state(pool->conns[i]);
        opening += state > CONN_DOWN && state < CONN_IDLE;
    }
    for (size_t i = 0; i < pool->options.size && opening < pool->waiting; i++)
        if (conn_state(pool->conns[i]) == CONN_DOWN) {
            conn_open(pool->conns[i]);
            opening++;
        }
}

void db_pool_submit(struct db_pool *pool, struct db_unit *unit, int timeout_ms)
{
    assert(!pool->closed);
    unit->deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    unit->next = NULL;
    *pool->last = unit;
    pool->last = &unit->next;
    pool->waiting++;
    loop_timer_set_least(&pool->expiry, unit->deadline_us);
    pool_feed(pool);
}

bool db_pool_withdraw(struct db_pool *pool, struct db_unit *unit)
{
    struct db_unit **at = &pool->first;
    while (*at && *at != unit)
        at = &(*at)->next;
    if (!*at)
        return false;
    *at = unit->next;
    if (pool->last == &unit->next)
        pool->last = at;
    pool->waiting--;
    db_unit_free(unit);
    return true;
}

/* Ends those that wait of which `ends` is true. */
static void pool_end_waiting(struct db_pool *pool,
                             bool (*ends)(const struct db_unit *unit, int64_t now_us),
                             const struct err *err)
{
    int64_t now_us = clock_mono_us(), next_us = INT64_MAX;
    struct db_unit *ended = NULL, **ended_last = &ended;
    struct db_unit **at = &pool->first;
    while (*at) {
        struct db_unit *unit = *at;
        if (!ends(unit, now_us)) {
            next_us = unit->deadline_us < next_us ? unit->deadline_us : next_us;
            at = &unit->next;
            continue;
        }
        *at = unit->next;
        unit->next = NULL;
        *ended_last = unit;
        ended_last = &unit->next;
        pool->waiting--;
    }
    pool->last = at;
    loop_timer_set(&pool->expiry, next_us);
    while (ended) {
        struct db_unit *unit = ended;
        ended = unit->next;
        unit->err = *err;
        unit->on_done(unit, unit->owner);
        db_unit_free(unit);
    }
}

static bool unit_is_over(const struct db_unit *unit, int64_t now_us)
{
    return unit->deadline_us <= now_us;
}

static bool unit_is_impatient(const struct db_unit *unit, int64_t now_us)
{
    (void)now_us;
    return unit->impatient;
}

/* Deadlines of units that were never sent; one on a connection is watched by the connection. */
static void pool_on_expiry(void *owner)
{
    struct err err;
    err_set(&err, ERR_TEMPORARY, "no connection to the database in time");
    pool_end_waiting(owner, unit_is_over, &err);
}

void pool_on_conn_idle(struct db_pool *pool, struct db_conn *conn, bool fresh)
{
    pool->opened += fresh;
    if (fresh && pool->options.on_up && conn == pool->conns[0])
        pool->options.on_up(pool, pool->options.owner);
    if (!pool->closed)
        pool_feed(pool);
}

void pool_on_conn_down(struct db_pool *pool, struct db_conn *conn, bool stood,
                       const struct err *err)
{
    struct err none;
    if (pool->closed)
        return;
    pool->failed++;
    if (pool->options.on_down && conn == pool->conns[0])
        pool->options.on_down(pool, err, pool->options.owner);
    if (!stood && !db_pool_is_up(pool)) {
        err_set(&none, ERR_TEMPORARY, "no connection to the database: %s", err->text);
        pool_end_waiting(pool, unit_is_impatient, &none);
    }
    if (pool->waiting || (pool->options.keep && conn == pool->conns[0]))
        conn_open(conn);
}

bool db_pool_is_up(const struct db_pool *pool)
{
    for (size_t i = 0; i < pool->options.size; i++)
        if (conn_state(pool->conns[i]) >= CONN_IDLE)
            return true;
    return false;
}

void db_pool_counts(const struct db_pool *pool, struct db_pool_counts *counts)
{
    *counts = (struct db_pool_counts){
        .name = pool->options.name,
        .most = pool->options.size,
        .waiting = pool->waiting,
        .opened = pool->opened,
        .failed = pool->failed,
        .statements = pool->statement_count,
    };
    for (size_t i = 0; i < pool->options.size; i++)
        counts->open += conn_state(pool->conns[i]) >= CONN_IDLE;
}

bool db_pool_is_pooled(const struct db_pool *pool)
{
    return conn_is_pooled(pool->conns[0]);
}
