#include "db/conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "db/exchange.h"
#include "db/target.h"
#include "db_sql.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pauses between attempts to connect: full jitter below a doubling bound, so that a fleet does not
 * come back as one. The bound stays low, because work waits. */
enum { PAUSE_FIRST_US = 50000, PAUSE_MAX_US = 1000000, CONNECT_TIMEOUT_US = 5000000 };

struct db_conn {
    struct db_pool *pool;
    enum conn_state state;
    PGconn *pg;
    struct target target;
    struct ev_io io;
    bool io_started;
    struct loop_timer timer; /* DOWN: the pause; else: the deadline of what is under way */
    bool wanted;             /* DOWN: opens when the pause is over */
    int64_t pause_us;        /* the bound of the next pause; 0 after a good connection */
    struct db_exchange exchange;
    struct db_unit *unit; /* BUSY */
    bool pooled, broken, freed;
};

static void conn_step(struct db_conn *conn);
static void conn_on_timer(void *owner);

static void on_io(struct ev_loop *ev, struct ev_io *watcher, int events)
{
    (void)ev, (void)events;
    conn_step(watcher->data);
}

static const char *conn_state_name(enum conn_state state)
{
    static const char *const names[] = {"down",    "resolving", "connecting", "probing",
                                        "setting", "idle",      "busy",       "rolling back"};
    return names[state];
}

struct db_conn *conn_new(struct db_pool *pool)
{
    struct db_conn *conn = mem_zalloc(sizeof *conn);
    conn->pool = pool;
    conn->exchange.texts = &pool->texts;
    conn->exchange.statement_ms = pool->statement_ms;
    conn->exchange.lock_ms = pool->lock_ms;
    ev_init(&conn->io, on_io);
    conn->io.data = conn;
    loop_timer_init(&conn->timer, pool->loop, conn_on_timer, conn);
    return conn;
}

enum conn_state conn_state(const struct db_conn *conn)
{
    return conn->state;
}

bool conn_is_pooled(const struct db_conn *conn)
{
    return conn->pooled;
}

static void conn_watch(struct db_conn *conn, int events)
{
    struct ev_loop *ev = conn->pool->loop->ev;
    int fd = events ? PQsocket(conn->pg) : -1;
    if (conn->io_started && conn->io.fd == fd && (conn->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    if (conn->io_started)
        ev_io_stop(ev, &conn->io);
    conn->io_started = fd >= 0;
    if (fd < 0)
        return;
    ev_io_set(&conn->io, fd, events);
    ev_io_start(ev, &conn->io);
}

static void conn_close(struct db_conn *conn)
{
    conn_watch(conn, 0);
    loop_timer_stop(&conn->timer);
    if (conn->pg)
        PQfinish(conn->pg);
    conn->pg = NULL;
    conn->broken = false;
    db_exchange_clear(&conn->exchange);
}

static void unit_end(const struct db_pool *pool, struct db_unit *unit)
{
    if (pool->options.on_unit)
        pool->options.on_unit(unit, pool->options.owner);
    unit->on_done(unit, unit->owner);
    db_unit_free(unit);
}

/* Whatever the state was: down, its unit ended, the pool told, the pause set. */
static void conn_fail(struct db_conn *conn, const struct err *err)
{
    struct db_unit *unit = conn->unit;
    bool was_up = conn->state >= CONN_IDLE;
    struct err why = *err;
    if (!conn->pool->closed)
        log_event(was_up ? LOG_WARN : LOG_DEBUG, "database connection failed", "connection",
                  conn->pool->options.name, "state", conn_state_name(conn->state), "error",
                  why.text, NULL);
    conn_close(conn);
    conn->state = CONN_DOWN;
    conn->unit = NULL;
    conn->wanted = false;
    conn->pause_us = conn->pause_us ? conn->pause_us * 2 : PAUSE_FIRST_US;
    if (conn->pause_us > PAUSE_MAX_US)
        conn->pause_us = PAUSE_MAX_US;
    loop_timer_set(&conn->timer, clock_mono_us() + random_below(conn->pause_us));
    pool_on_conn_down(conn->pool, conn, was_up, &why);
    if (!unit)
        return;
    err_set(&unit->err, why.code == ERR_CANCELLED ? ERR_CANCELLED : ERR_UNKNOWN_OUTCOME,
            "the connection was lost before the answer: %s", why.text);
    unit_end(conn->pool, unit);
}

/* libpq speaks in lines, for a terminal. */
static void text_to_one_line(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from == '\n' || *from == '\t' ? ' ' : *from;
        if (c != ' ' || (to > text && to[-1] != ' '))
            *to++ = c;
    }
    while (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
}

static void conn_fail_pg(struct db_conn *conn, enum err_code code)
{
    struct err err;
    err_set(&err, code, "%s", conn->pg ? PQerrorMessage(conn->pg) : "out of memory");
    text_to_one_line(err.text);
    conn_fail(conn, &err);
}

void conn_free(struct db_conn *conn)
{
    struct err err;
    err_set(&err, ERR_CANCELLED, "the connection pool is closed");
    if (conn->target.resolution) {
        /* The thread's end frees it. */
        conn->freed = true;
        return;
    }
    if (conn->unit)
        conn_fail(conn, &err);
    conn_close(conn);
    target_clear(&conn->target);
    free(conn);
}

/* ---- Opening ---- */

static void on_notice(void *owner, const PGresult *notice)
{
    char text[ERR_TEXT_BYTES];
    const struct db_conn *conn = owner;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *primary = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    if (conn->unit && conn->unit->on_notice && severity && primary) {
        conn->unit->on_notice(conn->unit->owner, strcmp(severity, "WARNING") == 0, primary);
        return;
    }
    snprintf(text, sizeof text, "%s", PQresultErrorMessage(notice));
    text_to_one_line(text);
    log_event(LOG_DEBUG, "database notice", "connection", conn->pool->options.name, "text", text,
              NULL);
}

static void conn_connect(struct db_conn *conn)
{
    conn->state = CONN_CONNECTING;
    conn->pg = PQconnectStartParams(conn->target.keywords, conn->target.values, 0);
    if (!conn->pg || PQstatus(conn->pg) == CONNECTION_BAD || PQsetnonblocking(conn->pg, 1) != 0) {
        conn_fail_pg(conn, ERR_TEMPORARY);
        return;
    }
    PQsetNoticeReceiver(conn->pg, on_notice, conn);
    loop_timer_set(&conn->timer, clock_mono_us() + CONNECT_TIMEOUT_US);
    conn_watch(conn, EV_WRITE);
}

static void conn_on_resolved(void *owner)
{
    struct db_conn *conn = owner;
    struct err err;
    if (conn->freed) {
        conn_free(conn);
        return;
    }
    if (target_resolve_error(&conn->target)[0]) {
        err_set(&err, ERR_TEMPORARY, "%s", target_resolve_error(&conn->target));
        conn_fail(conn, &err);
        return;
    }
    conn_connect(conn);
}

static void conn_open_now(struct db_conn *conn)
{
    struct err err;
    bool at_once = true;
    conn->wanted = false;
    conn->state = CONN_RESOLVING;
    if (!conn->target.count &&
        !target_init(&conn->target, conn->pool->options.conninfo, conn->pool->options.name, &err)) {
        conn_fail(conn, &err);
        return;
    }
    if (!target_resolve(&conn->target, conn->pool->loop, conn_on_resolved, conn, &at_once, &err)) {
        conn_fail(conn, &err);
        return;
    }
    if (at_once)
        conn_connect(conn);
}

void conn_open(struct db_conn *conn)
{
    if (conn->state != CONN_DOWN)
        return;
    conn->wanted = true;
    if (conn->timer.at_us == INT64_MAX)
        loop_timer_set(&conn->timer, clock_mono_us()); /* never inside the caller */
}

/* ---- Units ---- */

static void conn_send(struct db_conn *conn, struct db_unit *unit, enum db_exchange_mode mode,
                      int64_t deadline_us)
{
    conn->pool->statement_count += unit->count;
    /* A failure is told later, by the timer: on_done never comes inside the call that submitted. */
    conn->broken = !db_exchange_start(&conn->exchange, conn->pg, unit, mode);
    loop_timer_set(&conn->timer, conn->broken ? clock_mono_us() : deadline_us);
    if (!conn->broken)
        conn_watch(conn, EV_READ | EV_WRITE);
}

void conn_submit(struct db_conn *conn, struct db_unit *unit)
{
    assert(conn->state == CONN_IDLE && !conn->unit);
    conn->state = CONN_BUSY;
    conn->unit = unit;
    conn_send(conn, unit, conn->pooled ? DB_EXCHANGE_POOLED : DB_EXCHANGE_DIRECT,
              unit->deadline_us);
}

/* The connection's own units: the answer moves the state on. */
static void conn_send_own(struct db_conn *conn, enum conn_state state, int statement, size_t count,
                          const char *const *params)
{
    struct db_unit *unit = db_unit_new(DB_PLAIN, NULL, NULL);
    db_unit_add_binary(unit, &db_sql[statement], count, params);
    conn->state = state;
    conn->unit = NULL;
    conn_send(conn, unit, DB_EXCHANGE_BARE, clock_mono_us() + CONNECT_TIMEOUT_US);
}

static void conn_enter_idle(struct db_conn *conn, bool fresh)
{
    conn->state = CONN_IDLE;
    conn->pause_us = 0;
    loop_timer_stop(&conn->timer);
    conn_watch(conn, EV_READ);
    pool_on_conn_idle(conn->pool, conn, fresh);
}

static void conn_on_own_done(struct db_conn *conn, struct db_unit *unit)
{
    const char *const settings[] = {conn->pool->statement_ms, "false", conn->pool->lock_ms};
    struct err err = unit->err;
    bool failed = err.code != ERR_NONE;
    if (!failed && conn->state == CONN_PROBING)
        conn->pooled = db_get_int(db_unit_result(unit, 0), 0, 0) != PQbackendPID(conn->pg);
    db_unit_free(unit);
    if (failed)
        conn_fail(conn, &err);
    else if (conn->state == CONN_PROBING && !conn->pooled)
        conn_send_own(conn, CONN_SETTING, DB_SQL_SESSION_SETTINGS, 3, settings);
    else
        conn_enter_idle(conn, conn->state != CONN_ROLLING_BACK);
}

static void conn_on_unit_done(struct db_conn *conn)
{
    struct db_unit *unit = db_exchange_take(&conn->exchange);
    unit->received_us = clock_mono_us();
    if (conn->state != CONN_BUSY) {
        conn_on_own_done(conn, unit);
        return;
    }
    conn->unit = NULL;
    /* A failed transaction is still open when its COMMIT was never reached. */
    if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
        conn_send_own(conn, CONN_ROLLING_BACK, DB_SQL_ROLLBACK, 0, NULL);
    else
        conn_enter_idle(conn, false);
    unit_end(conn->pool, unit);
}

/* ---- Stepping ---- */

static void conn_step_connect(struct db_conn *conn)
{
    switch (PQconnectPoll(conn->pg)) {
    case PGRES_POLLING_READING:
        conn_watch(conn, 0);
        conn_watch(conn, EV_READ);
        break;
    case PGRES_POLLING_WRITING:
        conn_watch(conn, 0);
        conn_watch(conn, EV_WRITE);
        break;
    case PGRES_POLLING_OK:
        if (!PQenterPipelineMode(conn->pg)) {
            conn_fail_pg(conn, ERR_TEMPORARY);
            return;
        }
        conn_send_own(conn, CONN_PROBING, DB_SQL_SESSION_PROBE, 0, NULL);
        break;
    default:
        conn_fail_pg(conn, PQconnectionNeedsPassword(conn->pg) ? ERR_CONFIG : ERR_TEMPORARY);
    }
}

static void conn_tell_notifications(struct db_conn *conn)
{
    for (PGnotify *told; (told = PQnotifies(conn->pg));) {
        if (conn->pool->options.on_notify)
            conn->pool->options.on_notify(told->relname, told->extra, conn->pool->options.owner);
        PQfreemem(told);
    }
}

static void conn_step_exchange(struct db_conn *conn)
{
    enum db_exchange_state state = db_exchange_step(&conn->exchange, conn->pg);
    if (state != DB_EXCHANGE_BROKEN)
        conn_tell_notifications(conn);
    switch (state) {
    case DB_EXCHANGE_READ:
        conn_watch(conn, EV_READ);
        break;
    case DB_EXCHANGE_WRITE:
        conn_watch(conn, EV_READ | EV_WRITE);
        break;
    case DB_EXCHANGE_DONE:
        conn_on_unit_done(conn);
        break;
    case DB_EXCHANGE_BROKEN:
        conn_fail_pg(conn, ERR_TEMPORARY);
    }
}

static void conn_step(struct db_conn *conn)
{
    if (conn->state == CONN_CONNECTING) {
        conn_step_connect(conn);
        return;
    }
    if (conn->state == CONN_IDLE) {
        if (!PQconsumeInput(conn->pg) || PQstatus(conn->pg) == CONNECTION_BAD)
            conn_fail_pg(conn, ERR_TEMPORARY);
        else
            conn_tell_notifications(conn);
        return;
    }
    conn_step_exchange(conn);
}

static void conn_on_timer(void *owner)
{
    struct db_conn *conn = owner;
    struct err err;
    if (conn->state == CONN_DOWN) {
        if (conn->wanted)
            conn_open_now(conn);
        return;
    }
    if (conn->broken) {
        conn->broken = false;
        conn_fail_pg(conn, ERR_TEMPORARY);
        return;
    }
    err_set(&err, ERR_TEMPORARY,
            conn->state == CONN_BUSY ? "no answer within the deadline"
                                     : "connecting took too long");
    conn_fail(conn, &err);
}
