/* One blocking connection to PostgreSQL, for commands that run and end. Every statement is unnamed
 * and has a deadline, so that it works through a transaction pooler and against a server that
 * hangs. Not for the runner, which has src/db. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "base/err.h"

#include <errand/errand.h>

struct session;
struct session_rows;

/* The first is for the whole of the connecting, unless the conninfo or PGCONNECT_TIMEOUT has a
 * connect_timeout. */
enum { SESSION_CONNECT_MS = 30000, SESSION_STATEMENT_MS = 30000 };

/* conninfo NULL: libpq's own PG* variables. schema (borrowed): what statements and scripts are
 * rewritten for. False: ERR_TEMPORARY when nobody answers, ERR_CONFIG
 * when the server refuses (err->sqlstate says why, where it told). */
bool session_open(struct session **session, const char *conninfo, const char *schema,
                  struct err *err);
void session_close(struct session *session); /* NULL is fine */

/* conninfo (NULL: PG* variables) as key=value, of that database; the caller's. */
char *session_conninfo(const char *conninfo, const char *database);

const char *session_user(const struct session *session);
const char *session_place(const struct session *session);  /* "database app at 127.0.0.1:5432" */
int session_server_version(const struct session *session); /* 150004 */
const char *session_schema(const struct session *session);

/* The text as it is sent: with the schema that errand is installed in. Lives until the next text.
 */
const char *session_sql(struct session *session, const char *text);

/* Of the statements that follow; 0: the default. */
void session_deadline(struct session *session, int ms);

/* Runs one statement with count texts as parameters (NULL: SQL NULL). rows may be NULL when they
 * are not wanted; else they are the caller's, to free. err: ERR_CONFIG for what a person must
 * change (grants, schema), ERR_PERMANENT for bad data, ERR_UNKNOWN_OUTCOME when the connection was
 * lost or the deadline passed. */
bool session_run(struct session *session, const struct errand_statement *statement, size_t count,
                 const char *const *params, struct session_rows **rows, struct err *err);

/* Runs a text of several statements; err says at which line, or which statement, it failed. */
bool session_script(struct session *session, const char *text, struct err *err);

/* Inside a transaction that is still sound? */
bool session_in_transaction(const struct session *session);

/* What PostgreSQL added to the last error: "" when nothing. */
const char *session_detail(const struct session *session);
const char *session_hint(const struct session *session);

size_t session_rows_count(const struct session_rows *rows);
const char *session_rows_text(const struct session_rows *rows, size_t row,
                              size_t column); /* NULL for NULL */
void session_rows_free(struct session_rows *rows);

#endif
