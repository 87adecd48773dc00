/* errand jobs log: what a job's handler has told, and goes on telling. */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const struct command_flag cmd_jobs_log_flags[] = {
    {"lines", "N", "the last so many (default 1000, at most 100000)"},
    {"follow", NULL, "go on until the job has ended"},
    {NULL, NULL, NULL},
};

enum { FOLLOW_EVERY_MS = 500 }; /* a runner writes once a second */

/* Where the last line stands: what is behind it is new. */
struct log_place {
    char at[40], line[16]; /* "": at the beginning */
    bool any;
};

enum log_column { LOG_AT, LOG_ATTEMPT, LOG_LEVEL, LOG_MESSAGE, LOG_LINE, LOG_JSON };

static void log_print_row(const struct cli *cli, const struct session_rows *rows, size_t row)
{
    struct buf message;
    if (cli->json) {
        puts(session_rows_text(rows, row, LOG_JSON));
        return;
    }
    buf_init(&message, 0);
    str_printable(&message, session_rows_text(rows, row, LOG_MESSAGE));
    printf("%s %s %-5s %s\n", session_rows_text(rows, row, LOG_AT),
           session_rows_text(rows, row, LOG_ATTEMPT), session_rows_text(rows, row, LOG_LEVEL),
           buf_text(&message));
    buf_clear(&message);
}

/* Prints what stands behind the place, at most count lines. False: told. */
static bool log_print(const struct cli *cli, struct session *session, struct log_place *place,
                      const char *count, int *status)
{
    struct session_rows *rows;
    const char *const params[] = {cli->args[0], *place->at ? place->at : NULL,
                                  *place->at ? place->line : NULL, count};
    const struct ask ask = {CLI_SQL_JOBS_LOG, 4, params, "cannot read the job's log"};
    if (!ask_rows(cli, session, &ask, &rows, status))
        return false;
    size_t found = session_rows_count(rows);
    for (size_t row = 0; row < found; row++)
        log_print_row(cli, rows, row);
    if (found) {
        snprintf(place->at, sizeof place->at, "%s", session_rows_text(rows, found - 1, LOG_AT));
        snprintf(place->line, sizeof place->line, "%s",
                 session_rows_text(rows, found - 1, LOG_LINE));
        place->any = true;
        fflush(stdout);
    }
    session_rows_free(rows);
    return true;
}

/* Whether the job is owed now, and whether it is anywhere. */
struct log_job {
    bool owed, known;
};

static bool log_look(const struct cli *cli, struct session *session, struct log_job *job,
                     int *status)
{
    struct session_rows *rows;
    struct buf ids;
    buf_init(&ids, 0);
    ask_ids(&ids, cli->args, 1);
    const char *const params[] = {buf_text(&ids)};
    const struct ask ask = {CLI_SQL_JOBS_OUTCOMES, 1, params, "cannot read the job"};
    bool ok = ask_rows(cli, session, &ask, &rows, status);
    buf_clear(&ids);
    if (!ok)
        return false;
    job->known = session_rows_text(rows, 0, 2) != NULL;
    job->owed = job->known && !session_rows_text(rows, 0, 1);
    session_rows_free(rows);
    return true;
}

/* Its end is looked for before its lines are read: with it they all stand. */
static bool log_follow(const struct cli *cli, struct session *session, struct log_place *place,
                       int *status)
{
    struct log_job job = {.owed = true};
    while (job.owed) {
        nanosleep(&(struct timespec){0, FOLLOW_EVERY_MS * 1000000L}, NULL);
        if (!log_look(cli, session, &job, status) ||
            !log_print(cli, session, place, "100000", status))
            return false;
    }
    return true;
}

static bool log_all(const struct cli *cli, struct session *session, int *status)
{
    const char *count = cli_flag(cli, "lines");
    struct log_place place = {.any = false};
    struct log_job job;
    if (!log_look(cli, session, &job, status) ||
        !log_print(cli, session, &place, count ? count : "1000", status))
        return false;
    if (!job.known && !place.any) {
        char message[64];
        snprintf(message, sizeof message, "there is no job %.20s", cli->args[0]);
        *status = failure_tell(cli, FAILURE_NOT_FOUND, message,
                               "It may have ended longer ago than its queue's history is kept.");
        return false;
    }
    return !cli_flag(cli, "follow") || !job.owed || log_follow(cli, session, &place, status);
}

int cmd_jobs_log(struct cli *cli)
{
    struct session *session;
    int status = FAILURE_OK;
    if (!cli_ids(cli) || !cli_number(cli, "--lines", cli_flag(cli, "lines"), 1, 100000))
        return FAILURE_USAGE;
    if (!cli_connect(cli, &session, &status))
        return status;
    log_all(cli, session, &status);
    session_close(session);
    return status;
}
