#include "cli/failure.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAILURE_TEXT_BYTES = 2048 };

static const char *failure_name(enum failure_exit status)
{
    switch (status) {
    case FAILURE_OK:
        return "ok";
    case FAILURE_FAILED:
        return "failed";
    case FAILURE_USAGE:
        return "usage";
    case FAILURE_NOT_FOUND:
        return "not_found";
    case FAILURE_DATABASE:
        return "database";
    case FAILURE_SCHEMA:
        return "schema";
    }
    return "?";
}

static void failure_add(struct buf *line, const char *text, bool json)
{
    char *shown = mem_strdup(text);
    log_redact(shown);
    if (json)
        str_escape(line, shown, strlen(shown));
    else
        str_printable(line, shown);
    free(shown);
}

int failure_tell(const struct cli *cli, enum failure_exit status, const char *message,
                 const char *hint)
{
    struct buf line;
    buf_init(&line, 0);
    if (cli->json) {
        buf_printf(&line, "{\"error\": {\"code\": \"%s\", \"message\": \"", failure_name(status));
        failure_add(&line, message, true);
        buf_add_text(&line, "\", \"hint\": \"");
        failure_add(&line, hint, true);
        buf_add_text(&line, "\"}}\n");
    } else {
        buf_add_text(&line, "errand: ");
        failure_add(&line, message, false);
        if (*hint)
            buf_add_text(&line, "\n        ");
        failure_add(&line, hint, false);
        buf_add_char(&line, '\n');
    }
    fflush(stdout);
    fwrite(line.data, 1, line.length, stderr);
    buf_clear(&line);
    return (int)status;
}

int failure_usage(const struct cli *cli, const char *hint, const char *format, ...)
{
    char message[FAILURE_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return failure_tell(cli, FAILURE_USAGE, message, hint);
}

/* ---- Connecting ---- */

static const char *failure_connect_hint(const struct err *err)
{
    static const struct {
        const char *state, *hint;
    } hints[] = {
        {"28P01", "Check the user and the password in it, PGPASSWORD or ~/.pgpass."},
        {"28000", "The server's pg_hba.conf must let this user in from here; check user, TLS "
                  "(sslmode) and host."},
        {"3D000", "Create it (createdb), or name another."},
        {"53300", "All its connections are taken: raise max_connections, or go through a pooler."},
        {"57P03", "It is starting or stopping: try again in a moment."},
        {"42501", "Grant CONNECT on it to this user."},
    };
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strcmp(err->sqlstate, hints[i].state) == 0)
            return hints[i].hint;
    return err->code == ERR_TEMPORARY ? "Is the server up, and reachable from here?"
                                      : "Check the connection settings.";
}

int failure_connect(const struct cli *cli, const struct err *err)
{
    char message[FAILURE_TEXT_BYTES], hint[FAILURE_TEXT_BYTES];
    bool given = settings_text(cli->settings, "errand", "database_url") != NULL;
    snprintf(message, sizeof message, "cannot connect to the database: %s", err->text);
    if (given)
        snprintf(hint, sizeof hint, "%s The database is the one of %s.", failure_connect_hint(err),
                 settings_origin(cli->settings, "errand", "database_url"));
    else
        snprintf(hint, sizeof hint,
                 "%s No database is set, so libpq's defaults and PG* variables apply: set one with "
                 "--database-url, ERRAND_DATABASE_URL, or database_url in the configuration file.",
                 failure_connect_hint(err));
    return failure_tell(cli, FAILURE_DATABASE, message, hint);
}

/* ---- Statements ---- */

static bool state_is(const struct err *err, const char *prefix)
{
    return strncmp(err->sqlstate, prefix, strlen(prefix)) == 0;
}

static enum failure_exit failure_status(const struct err *err)
{
    if (state_is(err, "3F000") || state_is(err, "42P01") || state_is(err, "42883") ||
        state_is(err, "42703"))
        return FAILURE_SCHEMA;
    if (state_is(err, "42704"))
        return FAILURE_NOT_FOUND;
    if (state_is(err, "22"))
        return FAILURE_USAGE;
    if (err->code == ERR_UNKNOWN_OUTCOME || state_is(err, "57P") || state_is(err, "08"))
        return FAILURE_DATABASE;
    return FAILURE_FAILED;
}

/* What PostgreSQL could not read: its own hint, if it has one, is for other callers. "": none. */
static const char *failure_input_hint(const struct err *err)
{
    static const struct {
        const char *state, *text, *hint;
    } hints[] = {
        {"22007", "", "A time is 2031-01-31T09:00:00Z, or from now: +10m, -1h, +1d."},
        {"22008", "", "A time is 2031-01-31T09:00:00Z, or from now: +10m, -1h, +1d."},
        {"22P02", "type json",
         "JSON is like '{\"order\": 4711}'; @FILE takes it from a file, - from stdin."},
        {"22021", "", "What is given here is read as UTF-8."},
        {"22P05", "Unicode",
         "PostgreSQL's JSON holds no \\u0000, and no half of a surrogate pair."},
    };
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (state_is(err, hints[i].state) && strstr(err->text, hints[i].text))
            return hints[i].hint;
    return "";
}

static void failure_statement_hint(const struct cli *cli, const struct session *session,
                                   const struct err *err, char *hint, size_t size)
{
    const char *role = cli->command ? cli->command->role : NULL;
    if (state_is(err, "42501") && role)
        snprintf(hint, size, "Let the user do this: grant %s to \"%s\"", role,
                 session_user(session));
    else if (state_is(err, "42501"))
        snprintf(hint, size, "User \"%s\" may not: connect as the owner of the database.",
                 session_user(session));
    else if (*failure_input_hint(err))
        snprintf(hint, size, "%s", failure_input_hint(err));
    else if (*session_hint(session))
        snprintf(hint, size, "%s", session_hint(session));
    else if (failure_status(err) == FAILURE_SCHEMA)
        snprintf(hint, size, "errand's tables are missing or old: run `errand migrate up`.");
    else
        *hint = '\0';
}

int failure_statement(const struct cli *cli, const struct session *session, const char *what,
                      const struct err *err)
{
    char message[FAILURE_TEXT_BYTES], hint[FAILURE_TEXT_BYTES];
    const char *detail = session_detail(session);
    snprintf(message, sizeof message, "%s: %s%s%s%s", what, err->text, *detail ? " (" : "", detail,
             *detail ? ")" : "");
    failure_statement_hint(cli, session, err, hint, sizeof hint);
    return failure_tell(cli, failure_status(err), message, hint);
}
