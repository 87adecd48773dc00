/* One connection to PostgreSQL as a state machine on the loop, in pipeline mode, one unit at a
 * time. Belongs to a pool, which alone talks to it.
 *
 *   DOWN --open--> RESOLVING --> CONNECTING --> PROBING --> SETTING --> IDLE <--> BUSY -->
 * ROLLING_BACK --> IDLE ^ |
 *     +------------- anything that fails, a deadline, close -------------------------------------+
 */
#ifndef DB_CONN_H
#define DB_CONN_H

#include "db/pool.h"

enum conn_state {
    CONN_DOWN,
    CONN_RESOLVING,
    CONN_CONNECTING,
    CONN_PROBING,
    CONN_SETTING,
    CONN_IDLE,
    CONN_BUSY,
    CONN_ROLLING_BACK
};

struct db_conn *conn_new(struct db_pool *pool);
void conn_free(struct db_conn *conn); /* a unit on it ends with ERR_CANCELLED first */
enum conn_state conn_state(const struct db_conn *conn);
/* Opens it, at once or when the pause after a failure is over. */
void conn_open(struct db_conn *conn);
/* Sends the unit; the connection is IDLE. */
void conn_submit(struct db_conn *conn, struct db_unit *unit);
bool conn_is_pooled(const struct db_conn *conn);

/* What the pool is told. */
void pool_on_conn_idle(struct db_pool *pool, struct db_conn *conn, bool fresh);
/* stood: it was there before; else an attempt to make it has failed. */
void pool_on_conn_down(struct db_pool *pool, struct db_conn *conn, bool stood,
                       const struct err *err);

#endif
