/* errand enqueue KIND [ARGS | @FILE | -] */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/slurp.h"
#include "cli/when.h"
#include "cli_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command_flag cmd_enqueue_flags[] = {
    {"queue", "NAME", "queue (default: the kind's own)"},
    {"run-at", "TIME", "not before: 2031-01-31T09:00:00Z, or from now: +10s, +5m, +2h, +1d"},
    {"priority", "0-3", "0 first, 3 last (default 2)"},
    {"key", "KEY", "what it is about: a queue's jobs bear a key one at a time"},
    {"on-conflict", "WORD", "when the key stands: keep it (default), replace it, or allow both"},
    {"unique-for", "TIME", "make none when one was enqueued under the key less than 1h ago"},
    {"max-attempts", "N", "1 to 1000 (default: the kind's own)"},
    {"timeout", "TIME", "of one attempt: 30s, 5m (default: the kind's own)"},
    {"expires-at", "TIME", "no attempt starts afterwards; as --run-at"},
    {"after", "ID[,ID]", "when these have ended; may be given again"},
    {"on-parent", "WORD", "when one of them ended badly: cancel (default), run, or hold"},
    {"tag", "TAG[,TAG]", "to find it by; may be given again"},
    {"trace", "TEXT", "W3C traceparent"},
    {NULL, NULL, NULL},
};

enum { ENQUEUE_ARGS_MAX_BYTES = 64 * 1024 * 1024 };

static bool enqueue_check_flags(const struct cli *cli)
{
    static const char *const conflicts[] = {"keep", "replace", "allow"}, *const parents[] = {
                                                                             "cancel", "run",
                                                                             "hold"};
    return cli_number(cli, "--priority", cli_flag(cli, "priority"), 0, 3) &&
           cli_number(cli, "--max-attempts", cli_flag(cli, "max-attempts"), 1, 1000) &&
           cli_word(cli, "--on-conflict", cli_flag(cli, "on-conflict"), conflicts, 3) &&
           cli_word(cli, "--on-parent", cli_flag(cli, "on-parent"), parents, 3);
}

/* A flag that is a duration, as seconds; NULL when it was not given. False: told. */
static bool enqueue_duration(const struct cli *cli, const char *name,
                             char seconds[WHEN_SECONDS_BYTES], const char **param)
{
    const char *text = cli_flag(cli, name);
    long long ms;
    *param = text ? seconds : NULL;
    if (!text)
        return true;
    if (!when_parse_duration(text, &ms)) {
        failure_usage(cli, "A time is 500ms, 30s, 5m, 2h or 1d.",
                      "--%s is '%.80s'; it takes a time", name, text);
        return false;
    }
    when_print_seconds(seconds, ms);
    return true;
}

/* All values of a flag that holds a comma list and may be given again, as an array; "" when it was
 * not given. */
static void enqueue_list(const struct cli *cli, const char *name, struct buf *array)
{
    const char *text;
    size_t at = 0;
    while ((text = cli_flag_next(cli, name, &at))) {
        if (!array->length)
            buf_array_open(array);
        ask_list_add(array, text);
    }
    if (array->length)
        buf_array_close(array);
}

/* Each value of --after is an id, or a list of them. */
static bool enqueue_check_after(const struct cli *cli)
{
    const char *text;
    size_t at = 0;
    bool ok = true;
    while (ok && (text = cli_flag_next(cli, "after", &at))) {
        char *one;
        while (ok && (one = ask_list_next(&text))) {
            ok = cli_number(cli, "--after", one, 1, 9223372036854775807LL);
            free(one);
        }
    }
    return ok;
}

/* What the flags say beside the plain ones. */
struct enqueue {
    struct when run_at, expires_at;
    const char *timeout, *unique_for;
    char timeout_s[WHEN_SECONDS_BYTES], unique_for_s[WHEN_SECONDS_BYTES];
    struct buf after, tags;
};

static bool enqueue_read_flags(struct enqueue *enqueue, const struct cli *cli)
{
    when_set(&enqueue->run_at, cli_flag(cli, "run-at"));
    when_set(&enqueue->expires_at, cli_flag(cli, "expires-at"));
    enqueue_list(cli, "after", &enqueue->after);
    enqueue_list(cli, "tag", &enqueue->tags);
    return enqueue_check_flags(cli) && enqueue_check_after(cli) &&
           enqueue_duration(cli, "timeout", enqueue->timeout_s, &enqueue->timeout) &&
           enqueue_duration(cli, "unique-for", enqueue->unique_for_s, &enqueue->unique_for);
}

static int enqueue_send(const struct enqueue *enqueue, const struct cli *cli,
                        struct session *session, const char *args)
{
    const char *const params[] = {
        cli->args[0],
        args,
        cli_flag(cli, "queue"),
        enqueue->run_at.at,
        enqueue->run_at.from_now,
        cli_flag(cli, "priority"),
        cli_flag(cli, "key"),
        cli_flag(cli, "on-conflict"),
        cli_flag(cli, "max-attempts"),
        enqueue->timeout,
        cli_flag(cli, "trace"),
        enqueue->unique_for,
        enqueue->expires_at.at,
        enqueue->expires_at.from_now,
        enqueue->after.length ? buf_text(&enqueue->after) : NULL,
        cli_flag(cli, "on-parent"),
        enqueue->tags.length ? buf_text(&enqueue->tags) : NULL,
    };
    struct session_rows *rows;
    int status = FAILURE_OK;
    if (!ask_rows(cli, session,
                  &(struct ask){CLI_SQL_ENQUEUE, sizeof params / sizeof *params, params,
                                "cannot enqueue"},
                  &rows, &status))
        return status;
    printf(cli->json ? "{\"id\": %s}\n" : "%s\n", session_rows_text(rows, 0, 0));
    session_rows_free(rows);
    return FAILURE_OK;
}

int cmd_enqueue(struct cli *cli)
{
    struct session *session;
    struct enqueue enqueue = {0};
    struct buf args;
    struct err err = {0};
    int status = FAILURE_USAGE;
    buf_init(&args, ENQUEUE_ARGS_MAX_BYTES);
    if (!enqueue_read_flags(&enqueue, cli))
        goto out;
    if (!slurp_argument(&args, cli->arg_count > 1 ? cli->args[1] : "{}", &err)) {
        status = failure_usage(cli, "", "%s", err.text);
        goto out;
    }
    if (cli_connect(cli, &session, &status)) {
        status = enqueue_send(&enqueue, cli, session, buf_text(&args));
        session_close(session);
    }
out:
    buf_clear(&enqueue.after);
    buf_clear(&enqueue.tags);
    buf_clear(&args);
    return status;
}
