/* errand jobs signal ID NAME [PAYLOAD | @FILE | -] */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/slurp.h"

#include <stdio.h>
#include <string.h>

enum { PAYLOAD_MAX_BYTES = 4 * 1024 * 1024 };

/* What errand.signal says when the job does not have the signal from now on. */
static const struct {
    const char *result, *text, *hint;
    enum failure_exit status;
} refusals[] = {
    {"known", "was sent a signal of that name before, and that one stands",
     "`errand jobs show ID` lists what was sent.", FAILURE_FAILED},
    {"late", "has waited for it as long as it would", "It goes on without.", FAILURE_FAILED},
    {"ended", "has ended", "A dead letter can be redriven first: `errand jobs redrive ID`.",
     FAILURE_FAILED},
    {"not found", "does not exist", "It never was, or its history is not kept.", FAILURE_NOT_FOUND},
};

static int signal_tell(const struct cli *cli, const char *result)
{
    char message[128];
    if (cli->json)
        printf("{\"id\": %s, \"result\": \"%s\"}\n", cli->args[0], result);
    else
        puts(result);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (strcmp(result, refusals[i].result) != 0)
            continue;
        snprintf(message, sizeof message, "job %.20s %s", cli->args[0], refusals[i].text);
        return failure_tell(cli, refusals[i].status, message, refusals[i].hint);
    }
    return FAILURE_OK;
}

static int signal_send(const struct cli *cli, const char *payload)
{
    struct session *session;
    struct session_rows *rows;
    int status = FAILURE_OK;
    const char *const params[] = {cli->args[0], cli->args[1], payload};
    const struct ask ask = {CLI_SQL_JOBS_SIGNAL, 3, params, "cannot send the signal"};
    if (!cli_connect(cli, &session, &status))
        return status;
    if (ask_rows(cli, session, &ask, &rows, &status)) {
        status = signal_tell(cli, session_rows_text(rows, 0, 0));
        session_rows_free(rows);
    }
    session_close(session);
    return status;
}

int cmd_jobs_signal(struct cli *cli)
{
    struct buf payload;
    struct err err = {0};
    if (!cli_number(cli, "ID", cli->args[0], 1, 9223372036854775807LL))
        return FAILURE_USAGE;
    buf_init(&payload, PAYLOAD_MAX_BYTES);
    int status = slurp_argument(&payload, cli->arg_count > 2 ? cli->args[2] : "null", &err)
                     ? signal_send(cli, buf_text(&payload))
                     : failure_usage(cli, "", "%s", err.text);
    buf_clear(&payload);
    return status;
}
