#include "db/exchange.h"

#include "base/clock.h"
#include "base/mem.h"
#include "db_sql.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct db_prepared {
    const struct errand_statement *statement;
    UT_hash_handle hh;
    char name[24];
};

static void exchange_forget_prepared(struct db_exchange *exchange)
{
    struct db_prepared *each, *next;
    HASH_ITER(hh, exchange->prepared, each, next)
    {
        HASH_DEL(exchange->prepared, each);
        free(each);
    }
    exchange->prepared = NULL;
}

void db_exchange_clear(struct db_exchange *exchange)
{
    exchange_forget_prepared(exchange);
    if (exchange->unit && !exchange->unit->on_done)
        db_unit_free(exchange->unit);
    exchange->unit = NULL;
    free(exchange->slots);
    exchange->slots = NULL;
    exchange->slot_count = exchange->slot_capacity = 0;
}

/* A slot is the number of a statement of the unit; a framing statement; or the preparing of
 * statement i. */
enum { SLOT_FRAMING = -1, SLOT_PREPARE = -2 /* - i */ };

static void exchange_expect(struct db_exchange *exchange, int slot)
{
    if (exchange->slot_count == exchange->slot_capacity) {
        exchange->slot_capacity = exchange->slot_capacity ? 2 * exchange->slot_capacity : 8;
        exchange->slots =
            mem_resize(exchange->slots, exchange->slot_capacity * sizeof *exchange->slots);
    }
    exchange->slots[exchange->slot_count++] = slot;
}

static bool exchange_send_named(struct db_exchange *exchange, PGconn *pg,
                                const struct db_statement *each, int i)
{
    struct db_prepared *found;
    HASH_FIND_PTR(exchange->prepared, &each->statement, found);
    if (!found) {
        found = mem_zalloc(sizeof *found);
        found->statement = each->statement;
        snprintf(found->name, sizeof found->name, "errand_%u", exchange->prepared_number++);
        HASH_ADD_PTR(exchange->prepared, statement, found);
        exchange_expect(exchange, SLOT_PREPARE - i);
        if (!PQsendPrepare(pg, found->name, statement_text(exchange->texts, each->statement), 0,
                           NULL))
            return false;
    }
    exchange_expect(exchange, i);
    return PQsendQueryPrepared(pg, found->name, each->count, each->params, each->lengths,
                               each->formats, each->binary);
}

static bool exchange_send(struct db_exchange *exchange, PGconn *pg, const struct db_statement *each,
                          int i, bool named)
{
    if (named && each->statement->name)
        return exchange_send_named(exchange, pg, each, i);
    exchange_expect(exchange, i);
    const char *text = statement_text(exchange->texts, each->statement);
    return PQsendQueryParams(pg, text, each->count, NULL, each->params, each->lengths,
                             each->formats, each->binary);
}

static bool exchange_send_framing(struct db_exchange *exchange, PGconn *pg, int statement,
                                  int count, const char **params)
{
    const struct db_statement framing = {
        .statement = &db_sql[statement], .count = count, .params = params};
    return exchange_send(exchange, pg, &framing, SLOT_FRAMING, false);
}

static bool exchange_begin(struct db_exchange *exchange, PGconn *pg, bool pooled)
{
    const char *params[] = {exchange->statement_ms, "true", exchange->lock_ms};
    if (!pooled)
        return exchange_send_framing(exchange, pg, DB_SQL_BEGIN, 0, NULL);
    return exchange_send_framing(exchange, pg, DB_SQL_BEGIN_POOLED, 0, NULL) &&
           exchange_send_framing(exchange, pg, DB_SQL_SESSION_SETTINGS, 3, params);
}

bool db_exchange_start(struct db_exchange *exchange, PGconn *pg, struct db_unit *unit,
                       enum db_exchange_mode mode)
{
    assert(!exchange->unit);
    bool pooled = mode == DB_EXCHANGE_POOLED;
    bool transaction = pooled || (unit->flags & DB_TRANSACTION);
    exchange->unit = unit;
    exchange->slot_count = exchange->answered = 0;
    unit->sent_us = clock_mono_us();
    if (transaction && !exchange_begin(exchange, pg, pooled))
        return false;
    for (size_t i = 0; i < unit->count; i++)
        if (!exchange_send(exchange, pg, &unit->statements[i], (int)i, mode == DB_EXCHANGE_DIRECT))
            return false;
    if (transaction && !exchange_send_framing(exchange, pg, DB_SQL_COMMIT, 0, NULL))
        return false;
    return PQpipelineSync(pg) && PQflush(pg) >= 0;
}

struct db_unit *db_exchange_take(struct db_exchange *exchange)
{
    struct db_unit *unit = exchange->unit;
    exchange->unit = NULL;
    return unit;
}

/* A statement whose preparing failed, or that the server no longer has in the form it was prepared
 * (a migration changed a table), is prepared anew next time. */
static void exchange_forget(struct db_exchange *exchange, const struct errand_statement *statement)
{
    struct db_prepared *found;
    HASH_FIND_PTR(exchange->prepared, &statement, found);
    if (!found)
        return;
    HASH_DEL(exchange->prepared, found);
    free(found);
}

static void exchange_on_error(struct db_unit *unit, const PGresult *result)
{
    if (unit->err.code != ERR_NONE)
        return;
    if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED)
        err_set(&unit->err, ERR_TEMPORARY, "an earlier statement failed");
    else
        db_error_from_result(&unit->err, result);
}

/* `begin read write` on a standby, for as long as a failover takes. */
static void exchange_on_framing_error(struct db_unit *unit)
{
    if (strcmp(unit->err.sqlstate, "0A000") == 0)
        unit->err.code = ERR_TEMPORARY;
}

static void exchange_on_result(struct db_exchange *exchange, PGresult *result)
{
    struct db_unit *unit = exchange->unit;
    assert(exchange->answered < exchange->slot_count);
    int slot = exchange->slots[exchange->answered++];
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (!good) {
        exchange_on_error(unit, result);
        if (slot == SLOT_FRAMING)
            exchange_on_framing_error(unit);
        if (slot <= SLOT_PREPARE)
            exchange_forget(exchange, unit->statements[SLOT_PREPARE - slot].statement);
        const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        if (slot >= 0 && sqlstate &&
            (strcmp(sqlstate, "0A000") == 0 || strcmp(sqlstate, "26000") == 0)) {
            exchange_forget(exchange, unit->statements[slot].statement);
            unit->err.code = ERR_TEMPORARY;
        }
    } else if (slot == SLOT_FRAMING && exchange->answered == exchange->slot_count &&
               strcmp(PQcmdStatus(result), "ROLLBACK") == 0 && unit->err.code == ERR_NONE) {
        err_set(&unit->err, ERR_TEMPORARY, "the transaction was rolled back");
    }
    if (slot >= 0)
        unit->statements[slot].result = result;
    else
        PQclear(result);
}

enum db_exchange_state db_exchange_step(struct db_exchange *exchange, PGconn *pg)
{
    int unsent = PQflush(pg);
    if (unsent < 0 || !PQconsumeInput(pg))
        return DB_EXCHANGE_BROKEN;
    while (!PQisBusy(pg)) {
        PGresult *result = PQgetResult(pg);
        if (PQstatus(pg) == CONNECTION_BAD) {
            PQclear(result);
            return DB_EXCHANGE_BROKEN;
        }
        if (!result)
            continue;
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return DB_EXCHANGE_DONE;
        }
        if (exchange->answered == exchange->slot_count) {
            /* The server ends the connection between the last answer and the confirmation: whether
             * it committed is not known. */
            PQclear(result);
            return DB_EXCHANGE_BROKEN;
        }
        exchange_on_result(exchange, result);
    }
    return unsent > 0 ? DB_EXCHANGE_WRITE : DB_EXCHANGE_READ;
}
