#include "cli/session.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/schema.h"
#include "cli_sql.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CANCEL_S = 5 };

struct session {
    PGconn *conn;
    const char *schema;
    struct buf sql; /* the last text that was rewritten */
    int statement_ms;
    char place[400];
    char detail[ERR_TEXT_BYTES];
    char hint[ERR_TEXT_BYTES];
};

/* ---- Waiting ---- */

/* False when the time is up. */
static bool session_wait(const struct session *session, short events, int64_t until_us)
{
    for (;;) {
        int64_t left_us = until_us - clock_mono_us();
        struct pollfd watched = {.fd = PQsocket(session->conn), .events = events};
        if (left_us <= 0)
            return false;
        int ready = poll(&watched, 1, (int)(left_us / 1000) + 1);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true;
    }
}

/* ---- Connecting ---- */

/* Line ends and tabs become one blank each, none at the end. */
static void text_to_line(char *text)
{
    char *out = text;
    for (const char *at = text; *at; at++) {
        bool blank = strchr(" \t\r\n", *at) != NULL;
        if (!blank)
            *out++ = *at;
        else if (out > text && out[-1] != ' ')
            *out++ = ' ';
    }
    while (out > text && out[-1] == ' ')
        out--;
    *out = '\0';
}

/* Five capitals and digits; every SQLSTATE has a digit, and FATAL has none. */
static bool is_sqlstate(const char *text)
{
    return strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && text[5] == ':' &&
           strcspn(text, "0123456789") < 5;
}

/* libpq gives a refusal as text alone. In verbose form the SQLSTATE stands in it, in every language
 * of the server: "FATAL:  28P01: password authentication failed ...", with a line behind it that
 * only says where in the source. */
static void connect_error(PGconn *conn, struct err *err)
{
    char text[2048];
    snprintf(text, sizeof text, "%s", PQerrorMessage(conn));
    char *location = strstr(text, "\nLOCATION:");
    if (location)
        *location = '\0';
    char state[6] = "";
    for (char *at = strchr(text, ':'); at; at = strchr(at + 1, ':')) {
        char *word = at + 1 + strspn(at + 1, " ");
        if (is_sqlstate(word)) {
            memcpy(state, word, 5);
            memmove(word, word + 7, strlen(word + 7) + 1);
            break;
        }
    }
    text_to_line(text);
    bool refused = *state ? strncmp(state, "57P", 3) != 0 && strncmp(state, "53", 2) != 0
                          : PQconnectionNeedsPassword(conn);
    err_set(err, refused ? ERR_CONFIG : ERR_TEMPORARY, "%s", text);
    memcpy(err->sqlstate, state, sizeof state);
}

/* libpq leaves connect_timeout to the callers of PQconnectPoll. */
static int session_connect_ms(PGconn *conn)
{
    int seconds = 0;
    PQconninfoOption *options = PQconninfo(conn);
    for (const PQconninfoOption *option = options; option && option->keyword; option++)
        if (strcmp(option->keyword, "connect_timeout") == 0 && option->val)
            seconds = atoi(option->val);
    PQconninfoFree(options);
    return seconds > 0 && seconds < 3600 ? seconds * 1000 : SESSION_CONNECT_MS;
}

static bool session_connect_poll(struct session *session, struct err *err)
{
    int connect_ms = session_connect_ms(session->conn);
    int64_t until_us = clock_mono_us() + (int64_t)connect_ms * 1000;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!session_wait(session, events, until_us))
            return err_set(err, ERR_TEMPORARY, "no answer from %s within %d s", session->place,
                           connect_ms / 1000);
        state = PQconnectPoll(session->conn);
        if (state == PGRES_POLLING_FAILED) {
            connect_error(session->conn, err);
            return false;
        }
    }
    return true;
}

static void session_find_place(struct session *session)
{
    const char *host = PQhost(session->conn), *database = PQdb(session->conn);
    bool other = !schema_is_default(session->schema);
    snprintf(session->place, sizeof session->place, "database %.100s%s%.40s%s at %.150s%s%.20s",
             database ? database : "?", other ? " (schema " : "", other ? session->schema : "",
             other ? ")" : "", host && *host ? host : "?", host && *host == '/' ? " port " : ":",
             PQport(session->conn) ? PQport(session->conn) : "?");
}

static void session_ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* tcp_user_timeout bounds the wait for each host of a list; the whole has its deadline here. */
static PGconn *session_start(const char *conninfo)
{
    const char *const keys[] = {"fallback_application_name", "tcp_user_timeout", "keepalives_idle",
                                "client_encoding",           "dbname",           NULL};
    const char *const values[] = {"errand", "10000", "10", "UTF8", conninfo ? conninfo : "", NULL};
    return PQconnectStartParams(keys, values, 1);
}

static bool session_set(struct session *session, struct err *err)
{
    char backend[16], statement_ms[16];
    snprintf(backend, sizeof backend, "%d", PQbackendPID(session->conn));
    snprintf(statement_ms, sizeof statement_ms, "%d", SESSION_STATEMENT_MS);
    const char *const params[] = {backend, statement_ms};
    if (session_run(session, &cli_sql[CLI_SQL_SESSION_SETTINGS], 2, params, NULL, err))
        return true;
    if (err->code == ERR_UNKNOWN_OUTCOME)
        err->code = ERR_TEMPORARY; /* nothing was asked for yet */
    return false;
}

bool session_open(struct session **opened, const char *conninfo, const char *schema,
                  struct err *err)
{
    struct session *session = mem_zalloc(sizeof *session);
    *opened = NULL;
    session->schema = schema ? schema : SCHEMA_DEFAULT;
    buf_init(&session->sql, 0);
    session->statement_ms = SESSION_STATEMENT_MS;
    session->conn = session_start(conninfo);
    bool ok = session->conn != NULL;
    if (!ok) {
        err_set(err, ERR_TEMPORARY, "out of memory in libpq");
    } else if (PQstatus(session->conn) == CONNECTION_BAD) {
        connect_error(session->conn, err);
        err->code = PQhost(session->conn) && *PQhost(session->conn) ? ERR_TEMPORARY : ERR_CONFIG;
        ok = false;
    } else {
        PQsetErrorVerbosity(session->conn, PQERRORS_VERBOSE);
        PQsetNoticeReceiver(session->conn, session_ignore_notice, NULL);
        session_find_place(session);
        ok = session_connect_poll(session, err);
        session_find_place(session);
        ok = ok && session_set(session, err);
    }
    if (ok)
        *opened = session;
    else
        session_close(session);
    return ok;
}

char *session_conninfo(const char *conninfo, const char *database)
{
    PQconninfoOption *options = PQconninfoParse(conninfo ? conninfo : "", NULL);
    struct buf text;
    buf_init(&text, 0);
    for (const PQconninfoOption *option = options; option && option->keyword; option++) {
        if (!option->val || strcmp(option->keyword, "dbname") == 0)
            continue;
        buf_printf(&text, "%s='", option->keyword);
        for (const char *at = option->val; *at; at++)
            buf_printf(&text, *at == '\'' || *at == '\\' ? "\\%c" : "%c", *at);
        buf_printf(&text, "' ");
    }
    buf_printf(&text, "dbname='%s'", database);
    PQconninfoFree(options);
    return buf_steal(&text);
}

void session_close(struct session *session)
{
    if (!session)
        return;
    PQfinish(session->conn);
    buf_clear(&session->sql);
    free(session);
}

const char *session_user(const struct session *session)
{
    return PQuser(session->conn);
}

const char *session_place(const struct session *session)
{
    return session->place;
}

int session_server_version(const struct session *session)
{
    return PQserverVersion(session->conn);
}

const char *session_schema(const struct session *session)
{
    return session->schema;
}

void session_deadline(struct session *session, int ms)
{
    session->statement_ms = ms > 0 ? ms : SESSION_STATEMENT_MS;
}

bool session_in_transaction(const struct session *session)
{
    return PQtransactionStatus(session->conn) == PQTRANS_INTRANS;
}

const char *session_detail(const struct session *session)
{
    return session->detail;
}

const char *session_hint(const struct session *session)
{
    return session->hint;
}

/* ---- Errors of statements ---- */

static enum err_code error_code(const char *state)
{
    if (!state)
        return ERR_UNKNOWN_OUTCOME;
    if (strncmp(state, "08", 2) == 0 || strncmp(state, "40", 2) == 0 ||
        strncmp(state, "53", 2) == 0 || strncmp(state, "57", 2) == 0 ||
        strncmp(state, "55P", 3) == 0)
        return ERR_TEMPORARY;
    if (strncmp(state, "42", 2) == 0 || strncmp(state, "3", 1) == 0 || strncmp(state, "28", 2) == 0)
        return ERR_CONFIG;
    return ERR_PERMANENT;
}

static void result_field(char *text, size_t size, const PGresult *result, int field)
{
    const char *value = PQresultErrorField(result, field);
    snprintf(text, size, "%s", value ? value : "");
    text_to_line(text);
}

static void session_keep_error(struct session *session, const PGresult *result, struct err *err)
{
    char message[ERR_TEXT_BYTES];
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    result_field(message, sizeof message, result, PG_DIAG_MESSAGE_PRIMARY);
    result_field(session->detail, sizeof session->detail, result, PG_DIAG_MESSAGE_DETAIL);
    result_field(session->hint, sizeof session->hint, result, PG_DIAG_MESSAGE_HINT);
    if (!*message) {
        snprintf(message, sizeof message, "%s", PQerrorMessage(session->conn));
        text_to_line(message);
    }
    err_set(err, error_code(state), "%s", message);
    if (state)
        memcpy(err->sqlstate, state, strnlen(state, 5) + 1);
}

/* ---- Running ---- */

static void *cancel_main(void *argument)
{
    char text[256];
    PGcancel *cancel = argument;
    PQcancel(cancel, text, sizeof text);
    PQfreeCancel(cancel);
    return NULL;
}

/* PQcancel waits as long as the server likes. Where it hangs, the thread is left behind, in a
 * command that is about to end. */
static void session_cancel(struct session *session)
{
    pthread_t thread;
    struct timespec until;
    PGcancel *cancel = PQgetCancel(session->conn);
    if (!cancel)
        return;
    if (pthread_create(&thread, NULL, cancel_main, cancel) != 0) {
        PQfreeCancel(cancel);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CANCEL_S;
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        pthread_detach(thread);
}

static bool session_out_of_time(struct session *session, struct err *err)
{
    session_cancel(session);
    return err_set(err, ERR_UNKNOWN_OUTCOME, "no answer from %s within %d s", session->place,
                   session->statement_ms / 1000);
}

static bool session_lost(struct session *session, struct err *err)
{
    char text[ERR_TEXT_BYTES];
    snprintf(text, sizeof text, "%s", PQerrorMessage(session->conn));
    text_to_line(text);
    return err_set(err, ERR_UNKNOWN_OUTCOME, "connection to %s lost: %s", session->place, text);
}

static bool session_flush(struct session *session, int64_t until_us, struct err *err)
{
    for (;;) {
        int left = PQflush(session->conn);
        if (left == 0)
            return true;
        if (left < 0)
            return session_lost(session, err);
        if (!session_wait(session, POLLIN | POLLOUT, until_us))
            return session_out_of_time(session, err);
        if (!PQconsumeInput(session->conn))
            return session_lost(session, err);
    }
}

/* The next result, or NULL with *ended when there are no more. */
static PGresult *session_next(struct session *session, int64_t until_us, bool *ended,
                              struct err *err)
{
    *ended = false;
    while (PQisBusy(session->conn)) {
        if (!session_wait(session, POLLIN, until_us)) {
            session_out_of_time(session, err);
            return NULL;
        }
        if (!PQconsumeInput(session->conn)) {
            session_lost(session, err);
            return NULL;
        }
    }
    PGresult *result = PQgetResult(session->conn);
    *ended = result == NULL;
    return result;
}

/* A migration may hold comments alone. */
static bool result_is_error(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY;
}

/* Reads all results. Keeps the last good one, counts them, and keeps the first error. */
static bool session_collect(struct session *session, int64_t until_us, PGresult **last,
                            PGresult **failed, size_t *count, struct err *err)
{
    for (;;) {
        bool ended;
        PGresult *result = session_next(session, until_us, &ended, err);
        if (!result)
            return ended;
        PGresult **kept = result_is_error(result) ? failed : last;
        *count += !result_is_error(result);
        PQclear(*kept);
        *kept = result;
    }
}

static int64_t session_begin(struct session *session)
{
    session->detail[0] = session->hint[0] = '\0';
    return clock_mono_us() + (int64_t)session->statement_ms * 1000;
}

const char *session_sql(struct session *session, const char *text)
{
    if (schema_is_default(session->schema))
        return text;
    buf_reset(&session->sql);
    schema_rewrite(&session->sql, text, session->schema);
    return buf_text(&session->sql);
}

bool session_run(struct session *session, const struct errand_statement *statement, size_t count,
                 const char *const *params, struct session_rows **rows, struct err *err)
{
    int64_t until_us = session_begin(session);
    PGresult *last = NULL, *failed = NULL;
    size_t results = 0;
    const char *text = session_sql(session, statement->text);
    if (!PQsendQueryParams(session->conn, text, (int)count, NULL, params, NULL, NULL, 0))
        return session_lost(session, err);
    bool ok = session_flush(session, until_us, err) &&
              session_collect(session, until_us, &last, &failed, &results, err);
    if (ok && failed) {
        session_keep_error(session, failed, err);
        ok = false;
    }
    PQclear(failed);
    if (ok && rows)
        *rows = (struct session_rows *)last;
    else
        PQclear(last);
    return ok;
}

/* PostgreSQL counts characters from 1. */
static size_t text_line(const char *text, size_t position)
{
    size_t line = 1, character = 1;
    for (; *text && character < position; text++) {
        line += *text == '\n';
        character += ((unsigned char)text[1] & 0xC0) != 0x80;
    }
    return line;
}

static void session_place_error(const PGresult *failed, const char *text, size_t done,
                                struct err *err)
{
    const char *position = PQresultErrorField(failed, PG_DIAG_STATEMENT_POSITION);
    if (position)
        err_prefix(err, "line %zu", text_line(text, strtoul(position, NULL, 10)));
    else
        err_prefix(err, "statement %zu", done + 1);
}

bool session_script(struct session *session, const char *text, struct err *err)
{
    int64_t until_us = session_begin(session);
    PGresult *last = NULL, *failed = NULL;
    size_t done = 0;
    text = session_sql(session, text);
    if (!PQsendQuery(session->conn, text))
        return session_lost(session, err);
    bool ok = session_flush(session, until_us, err) &&
              session_collect(session, until_us, &last, &failed, &done, err);
    if (ok && failed) {
        session_keep_error(session, failed, err);
        session_place_error(failed, text, done, err);
        ok = false;
    }
    PQclear(failed);
    PQclear(last);
    return ok;
}

/* ---- Rows: a PGresult that this file alone knows as one ---- */

static const PGresult *rows_result(const struct session_rows *rows)
{
    return (const PGresult *)rows;
}

size_t session_rows_count(const struct session_rows *rows)
{
    return (size_t)PQntuples(rows_result(rows));
}

const char *session_rows_text(const struct session_rows *rows, size_t row, size_t column)
{
    const PGresult *result = rows_result(rows);
    if (PQgetisnull(result, (int)row, (int)column))
        return NULL;
    return PQgetvalue(result, (int)row, (int)column);
}

void session_rows_free(struct session_rows *rows)
{
    PQclear((PGresult *)rows);
}
