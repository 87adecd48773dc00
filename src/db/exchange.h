/* The sending of one unit and the receiving of its results over a connection in pipeline mode. */
#ifndef DB_EXCHANGE_H
#define DB_EXCHANGE_H

#include "db/statement_text.h"
#include "db/unit.h"

enum db_exchange_state {
    DB_EXCHANGE_READ,
    DB_EXCHANGE_WRITE,
    DB_EXCHANGE_DONE,
    DB_EXCHANGE_BROKEN
};

/* How statements reach the server. */
enum db_exchange_mode {
    DB_EXCHANGE_BARE,   /* as they are: before it is known what answers */
    DB_EXCHANGE_DIRECT, /* prepared, once a connection; but those without a name of their own */
    DB_EXCHANGE_POOLED  /* never by name, and in a transaction that sets what a session would */
};

struct db_exchange {
    struct statement_texts *texts;      /* borrowed */
    const char *statement_ms, *lock_ms; /* borrowed: of a statement, DB_EXCHANGE_POOLED */
    struct db_unit *unit;               /* NULL: none under way */
    int *slots; /* what each answer to come belongs to, in the order of sending */
    size_t slot_count, slot_capacity, answered;
    struct db_prepared
        *prepared; /* what this connection's server has prepared, by address of the statement */
    unsigned prepared_number;
};

/* Queues the whole unit in libpq's buffer. False: the connection is broken. */
bool db_exchange_start(struct db_exchange *exchange, PGconn *pg, struct db_unit *unit,
                       enum db_exchange_mode mode);
/* Sends and receives what is possible now. After BROKEN the unit still belongs to the exchange's
 * starter. */
enum db_exchange_state db_exchange_step(struct db_exchange *exchange, PGconn *pg);
/* After DONE: the unit, with results or error. */
struct db_unit *db_exchange_take(struct db_exchange *exchange);
/* The connection is gone: forgets what was prepared, and frees a unit that nobody else knows of
 * (on_done is NULL). */
void db_exchange_clear(struct db_exchange *exchange);

#endif
