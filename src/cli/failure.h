/* How errand says that something went wrong: the exit status, and on stderr what and where, then
 * what to do; with
 * --json as {"error": {"code", "message", "hint"}}. Every function returns the exit status. */
#ifndef CLI_FAILURE_H
#define CLI_FAILURE_H

#include "base/err.h"

struct cli;
struct session;

enum failure_exit {
    FAILURE_OK = 0,
    FAILURE_FAILED = 1,
    FAILURE_USAGE = 2,
    FAILURE_NOT_FOUND = 3,
    FAILURE_DATABASE = 4, /* unreachable, or it refused the login */
    FAILURE_SCHEMA = 5    /* missing or older than this errand; migrate: or newer */
};

/* hint: "" when there is nothing to say. */
int failure_tell(const struct cli *cli, enum failure_exit status, const char *message,
                 const char *hint);
int failure_usage(const struct cli *cli, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Of session_open. */
int failure_connect(const struct cli *cli, const struct err *err);
/* Of a statement; what: what was being done ("cannot list the jobs"). */
int failure_statement(const struct cli *cli, const struct session *session, const char *what,
                      const struct err *err);

#endif
