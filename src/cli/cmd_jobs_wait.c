/* errand jobs wait: asks again at growing intervals, so that it works through a pooler, too. */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct command_flag cmd_jobs_wait_flags[] = {
    {"timeout", "TIME", "give up after 30s, 5m, 2h (default: never)"},
    {NULL, NULL, NULL},
};

enum { WAIT_FIRST_MS = 20, WAIT_MOST_MS = 1000 };

struct wait_job {
    const char *id;
    bool seen;  /* it stood in the database at some time */
    bool ended; /* state is its outcome, then */
    char state[16];
    char *error;
};

struct wait {
    struct wait_job *jobs;
    size_t count, left;
    int64_t until_us; /* INT64_MAX: for ever */
};

static void wait_note(struct wait_job *job, const char *outcome, const char *state,
                      const char *error)
{
    job->ended = outcome || (!state && job->seen);
    job->seen = job->seen || state;
    /* Owed before, nowhere now: its kind keeps no history, or it was deleted. */
    snprintf(job->state, sizeof job->state, "%s", state ? state : "gone");
    if (error)
        job->error = mem_strdup(error);
}

/* Asks for all that have not ended. False: told. */
static bool wait_look(struct wait *wait, const struct cli *cli, struct session *session,
                      int *status)
{
    struct session_rows *rows;
    struct buf ids;
    buf_init(&ids, 0);
    buf_array_open(&ids);
    for (size_t i = 0; i < wait->count; i++)
        if (!wait->jobs[i].ended)
            buf_array_text(&ids, wait->jobs[i].id);
    buf_array_close(&ids);
    const char *const params[] = {buf_text(&ids)};
    const struct ask ask = {CLI_SQL_JOBS_OUTCOMES, 1, params, "cannot wait"};
    bool ok = ask_rows(cli, session, &ask, &rows, status);
    buf_clear(&ids);
    if (!ok)
        return false;
    for (size_t i = 0, row = 0; i < wait->count; i++) {
        if (wait->jobs[i].ended)
            continue;
        wait_note(&wait->jobs[i], session_rows_text(rows, row, 1), session_rows_text(rows, row, 2),
                  session_rows_text(rows, row, 3));
        wait->left -= wait->jobs[i].ended;
        row++;
    }
    session_rows_free(rows);
    return true;
}

static bool wait_knows_all(const struct wait *wait, const struct cli *cli, int *status)
{
    for (size_t i = 0; i < wait->count; i++) {
        char message[64];
        if (wait->jobs[i].seen)
            continue;
        snprintf(message, sizeof message, "there is no job %.20s", wait->jobs[i].id);
        *status = failure_tell(cli, FAILURE_NOT_FOUND, message,
                               "It may have ended longer ago than its queue's history is kept.");
        return false;
    }
    return true;
}

static bool wait_for_all(struct wait *wait, const struct cli *cli, struct session *session,
                         int *status)
{
    int64_t pause_ms = WAIT_FIRST_MS;
    if (!wait_look(wait, cli, session, status) || !wait_knows_all(wait, cli, status))
        return false;
    while (wait->left > 0 && clock_mono_us() < wait->until_us) {
        int64_t left_ms = (wait->until_us - clock_mono_us()) / 1000 + 1;
        int64_t ms = pause_ms < left_ms ? pause_ms : left_ms;
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
        pause_ms = pause_ms * 3 / 2 < WAIT_MOST_MS ? pause_ms * 3 / 2 : WAIT_MOST_MS;
        if (!wait_look(wait, cli, session, status))
            return false;
    }
    return true;
}

static void wait_print_json(const struct wait *wait)
{
    fputs("{\"jobs\": [", stdout);
    for (size_t i = 0; i < wait->count; i++) {
        const struct wait_job *job = &wait->jobs[i];
        struct buf error;
        buf_init(&error, 0);
        if (job->error) {
            buf_add_char(&error, '"');
            str_escape(&error, job->error, strlen(job->error));
            buf_add_char(&error, '"');
        }
        printf("%s{\"id\": %s, \"state\": \"%s\", \"ended\": %s, \"last_error\": %s}",
               i ? ",\n " : "", job->id, job->state, job->ended ? "true" : "false",
               job->error ? buf_text(&error) : "null");
        buf_clear(&error);
    }
    puts("]}");
}

static void wait_print(const struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++) {
        const struct wait_job *job = &wait->jobs[i];
        struct buf error;
        buf_init(&error, 0);
        str_printable(&error, job->error ? job->error : "");
        printf("%s\t%s%s%s\n", job->id, job->state, error.length ? "\t" : "", buf_text(&error));
        buf_clear(&error);
    }
}

/* The exit status, with a line that says which job made it. */
static int wait_judge(const struct wait *wait, const struct cli *cli)
{
    const struct wait_job *bad = NULL;
    size_t count = 0;
    for (size_t i = 0; i < wait->count; i++) {
        if (wait->jobs[i].ended && strcmp(wait->jobs[i].state, "done") == 0)
            continue;
        bad = bad ? bad : &wait->jobs[i];
        count++;
    }
    if (!bad)
        return FAILURE_OK;
    char message[160], hint[64];
    int length =
        snprintf(message, sizeof message,
                 bad->ended ? "job %.20s ended as %s" : "the time is over, job %.20s is %s",
                 bad->id, bad->state);
    if (count > 1)
        snprintf(message + length, sizeof message - (size_t)length, "; %zu of %zu are not done",
                 count, wait->count);
    snprintf(hint, sizeof hint,
             bad->ended ? "`errand jobs show %.20s` tells more."
                        : "`errand why %.20s` says what it waits for.",
             bad->id);
    return failure_tell(cli, FAILURE_FAILED, message, hint);
}

int cmd_jobs_wait(struct cli *cli)
{
    struct session *session;
    struct wait wait = {.until_us = INT64_MAX};
    const char *timeout = cli_flag(cli, "timeout");
    long long ms;
    int status = FAILURE_OK;
    if (!cli_ids(cli))
        return FAILURE_USAGE;
    if (timeout && !when_parse_duration(timeout, &ms))
        return failure_usage(cli, "A time is 500ms, 30s, 5m, 2h or 1d.",
                             "--timeout is '%.80s'; it takes a time", timeout);
    if (timeout)
        wait.until_us = clock_mono_us() + ms * 1000;
    if (!cli_connect(cli, &session, &status))
        return status;
    wait.count = wait.left = cli->arg_count;
    wait.jobs = mem_zalloc(wait.count * sizeof *wait.jobs);
    for (size_t i = 0; i < wait.count; i++)
        wait.jobs[i].id = cli->args[i];
    if (wait_for_all(&wait, cli, session, &status)) {
        if (cli->json)
            wait_print_json(&wait);
        else
            wait_print(&wait);
        status = wait_judge(&wait, cli);
    }
    for (size_t i = 0; i < wait.count; i++)
        free(wait.jobs[i].error);
    free(wait.jobs);
    session_close(session);
    return status;
}
