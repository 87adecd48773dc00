/* errand webhook replay */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/act.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/event_name.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/tally.h"

#include <stdio.h>
#include <stdlib.h>

const struct command_flag cmd_webhook_replay_flags[] = {
    {"failed", NULL, "all events whose status is failed, instead of EVENT..."},
    {"source", "NAME", "with --failed: of this source"},
    {"since", "TIME", "with --failed: received from then on: -1h, -2d, 2031-01-31T09:00:00Z"},
    {"yes", NULL, "do it to all that --failed finds"},
    {NULL, NULL, NULL},
};

enum { REPLAY_SAMPLE = 10, REPLAY_COUNT_PAGE = 10000 };

static const struct act replay_act = {CLI_SQL_WEBHOOK_REPLAY,
                                      0,
                                      "replayed",
                                      NULL,
                                      1,
                                      (const char *const[]){"redriven", "enqueued", NULL},
                                      "event"};

/* The failed events page by page, the newest first. */
struct replay_scan {
    const struct cli *cli;
    struct session *session;
    char since[ASK_MOMENT_BYTES];
    struct buf before; /* the last one of the page before; empty: none yet */
};

/* Adds nothing when there are no more: *rows is empty then. False: *status. */
static bool scan_next(struct replay_scan *scan, size_t page, struct session_rows **rows,
                      int *status)
{
    const struct cli *cli = scan->cli;
    const char *id;
    char limit[32], *source;
    snprintf(limit, sizeof limit, "%zu", page);
    event_name_split(cli, scan->before.length ? buf_text(&scan->before) : NULL, &source, &id);
    const char *const params[] = {cli_flag(cli, "source"),
                                  "failed",
                                  NULL,
                                  source,
                                  id,
                                  limit,
                                  cli_flag(cli, "since") ? scan->since : NULL};
    bool ok = ask_rows(cli, scan->session,
                       &(struct ask){CLI_SQL_WEBHOOK_LIST, 7, params, "cannot find the events"},
                       rows, status);
    free(source);
    if (ok && session_rows_count(*rows) > 0) {
        buf_reset(&scan->before);
        buf_add_text(&scan->before, session_rows_text(*rows, session_rows_count(*rows) - 1, 0));
    }
    return ok;
}

/* ---- What would be touched ---- */

static bool replay_count(struct replay_scan *scan, size_t *count, int *status)
{
    struct session_rows *rows;
    size_t found;
    do {
        if (!scan_next(scan, REPLAY_COUNT_PAGE, &rows, status))
            return false;
        found = session_rows_count(rows);
        *count += found;
        session_rows_free(rows);
    } while (found == REPLAY_COUNT_PAGE);
    buf_reset(&scan->before);
    return true;
}

static int replay_announce(struct replay_scan *scan)
{
    struct session_rows *rows;
    size_t count = 0;
    int status = FAILURE_OK;
    if (!replay_count(scan, &count, &status) || !scan_next(scan, REPLAY_SAMPLE, &rows, &status))
        return status;
    if (count == 0) {
        act_print_tally(&replay_act, scan->cli, &(struct tally){0});
    } else if (scan->cli->json) {
        printf("{\"count\": %zu, \"events\": ", count);
        ask_print_json(rows, cmd_webhook_shape.columns, session_rows_count(rows));
        puts("}");
    } else {
        table_print_rows(&cmd_webhook_shape, rows, SIZE_MAX);
        if (count > session_rows_count(rows))
            printf("... and %zu more\n", count - session_rows_count(rows));
    }
    session_rows_free(rows);
    return count == 0 ? FAILURE_OK
                      : failure_usage(scan->cli, "Add --yes to do it.", "%zu %s would be replayed",
                                      count, count == 1 ? "event" : "events");
}

/* ---- Doing it ---- */

static bool replay_page(const struct replay_scan *scan, const struct session_rows *found,
                        struct tally *tally, int *status)
{
    struct session_rows *rows;
    struct buf events;
    buf_init(&events, 0);
    buf_array_open(&events);
    for (size_t i = 0; i < session_rows_count(found); i++)
        buf_array_text(&events, session_rows_text(found, i, 0));
    buf_array_close(&events);
    bool ok = act_batch(&replay_act, scan->cli, scan->session, buf_text(&events), &rows, status);
    for (size_t i = 0; ok && i < session_rows_count(rows); i++)
        tally_add(tally, session_rows_text(rows, i, 1));
    if (ok)
        session_rows_free(rows);
    buf_clear(&events);
    return ok;
}

static int replay_all(struct replay_scan *scan)
{
    struct tally tally = {0};
    struct session_rows *rows;
    int status = FAILURE_OK;
    size_t found = 1;
    while (found > 0 && scan_next(scan, ACT_BATCH, &rows, &status)) {
        found = session_rows_count(rows);
        if (found > 0 && !replay_page(scan, rows, &tally, &status))
            found = 0;
        session_rows_free(rows);
    }
    if (status == FAILURE_OK || tally.total > 0)
        act_print_tally(&replay_act, scan->cli, &tally);
    return status;
}

static int replay_failed(const struct cli *cli, struct session *session)
{
    struct replay_scan scan = {.cli = cli, .session = session};
    const char *since = cli_flag(cli, "since");
    int status = FAILURE_OK;
    if (since && !ask_moment(cli, session, since, "flag --since", scan.since, &status))
        return status;
    buf_init(&scan.before, 0);
    status = cli_flag(cli, "yes") ? replay_all(&scan) : replay_announce(&scan);
    buf_clear(&scan.before);
    return status;
}

/* The arguments are names of events, or --failed stands there. */
static bool replay_check(const struct cli *cli)
{
    const char *id;
    bool failed = cli_flag(cli, "failed"), ok = true;
    if (failed == (cli->arg_count > 0)) {
        failure_usage(cli, "Name the events, or take all that failed.",
                      failed ? "`errand %s` takes events or --failed, not both"
                             : "`errand %s` takes events or --failed",
                      cli->command->name);
        return false;
    }
    if (!failed && (cli_flag(cli, "source") || cli_flag(cli, "since") || cli_flag(cli, "yes"))) {
        failure_usage(cli, "They say which of the failed events are meant.",
                      "--source, --since and --yes go with --failed");
        return false;
    }
    for (size_t i = 0; ok && i < cli->arg_count; i++) {
        char *source;
        ok = event_name_split(cli, cli->args[i], &source, &id);
        free(source);
    }
    return ok;
}

int cmd_webhook_replay(struct cli *cli)
{
    struct session *session;
    int status = FAILURE_USAGE;
    if (!replay_check(cli) || !cli_connect(cli, &session, &status))
        return status;
    status =
        cli->arg_count > 0 ? act_on_ids(&replay_act, cli, session) : replay_failed(cli, session);
    session_close(session);
    return status;
}
