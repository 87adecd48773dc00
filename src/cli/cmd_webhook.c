/* errand webhook list | show */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/event_name.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command_flag cmd_webhook_list_flags[] = {
    {"source", "NAME", "of this source"},
    {"status", "STATUS", "stored, applied, ignored, unassigned, failed"},
    {"type", "TYPE", "of this type, as the sender calls it"},
    {"since", "TIME", "received from then on: -1h, -2d, 2031-01-31T09:00:00Z"},
    {"limit", "N", "at most so many, the newest first (default 50, at most 10000)"},
    {"before", "EVENT", "the next page: what stands below this event"},
    {NULL, NULL, NULL},
};

const struct command_flag cmd_webhook_show_flags[] = {
    {"body", NULL, "print the body alone, as it was received (errand_operator)"},
    {NULL, NULL, NULL},
};

static const char *const list_headings[] = {"event",  "type", "received_at",
                                            "status", "job",  "effect"};
const struct table_shape cmd_webhook_shape = {list_headings, 6, 0x1d, true};

/* ---- List ---- */

/* The statement is asked for one row more than is shown, to know whether there is a next page. */
static void list_print(const struct cli *cli, const struct session_rows *rows, size_t limit)
{
    bool more = session_rows_count(rows) > limit;
    size_t shown = more ? limit : session_rows_count(rows);
    const char *next = more ? session_rows_text(rows, shown - 1, 0) : NULL;
    if (!cli->json) {
        table_print_rows(&cmd_webhook_shape, rows, shown);
        if (next && isatty(STDOUT_FILENO))
            printf("There are more: add --before %s\n", next);
        return;
    }
    struct buf text;
    buf_init(&text, 0);
    if (next)
        str_escape(&text, next, strlen(next));
    fputs("{\"webhooks\": ", stdout);
    ask_print_json(rows, cmd_webhook_shape.columns, shown);
    printf(next ? ", \"next\": \"%s\"}\n" : ", \"next\": null%s}\n", buf_text(&text));
    buf_clear(&text);
}

static bool list_ask(const struct cli *cli, struct session *session, size_t count,
                     const char *source, const char *id, struct session_rows **rows, int *status)
{
    char one_more[32], since[ASK_MOMENT_BYTES];
    const char *since_flag = cli_flag(cli, "since");
    snprintf(one_more, sizeof one_more, "%zu", count + 1);
    if (since_flag && !ask_moment(cli, session, since_flag, "flag --since", since, status))
        return false;
    const char *const params[] = {cli_flag(cli, "source"),
                                  cli_flag(cli, "status"),
                                  cli_flag(cli, "type"),
                                  source,
                                  id,
                                  one_more,
                                  since_flag ? since : NULL};
    return ask_rows(cli, session,
                    &(struct ask){CLI_SQL_WEBHOOK_LIST, 7, params, "cannot list the webhooks"},
                    rows, status);
}

int cmd_webhook_list(struct cli *cli)
{
    static const char *const statuses[] = {"stored", "applied", "ignored", "unassigned", "failed"};
    struct session *session;
    struct session_rows *rows;
    int status = FAILURE_USAGE;
    const char *limit = cli_flag(cli, "limit"), *id;
    char *source;
    if (!cli_number(cli, "--limit", limit, 1, 10000) ||
        !cli_word(cli, "--status", cli_flag(cli, "status"), statuses, 5) ||
        !event_name_split(cli, cli_flag(cli, "before"), &source, &id))
        return FAILURE_USAGE;
    size_t count = limit ? (size_t)atoi(limit) : 50;
    if (cli_connect(cli, &session, &status)) {
        status = FAILURE_OK;
        if (list_ask(cli, session, count, source, id, &rows, &status)) {
            list_print(cli, rows, count);
            session_rows_free(rows);
        }
        session_close(session);
    }
    free(source);
    return status;
}

/* ---- Show ---- */

/* The bytes that the hex text stands for. */
static void body_print(const char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (; hex[0] && hex[1]; hex += 2)
        putchar((int)((strchr(digits, hex[0]) - digits) * 16 + (strchr(digits, hex[1]) - digits)));
}

int cmd_webhook_show(struct cli *cli)
{
    static const char *const fields[] = {"source",    "event_id", "type",   "received_at",
                                         "signature", "status",   "effect", "job",
                                         "kind",      "why",      "headers"};
    enum { JSON = sizeof fields / sizeof *fields };
    struct session *session;
    struct session_rows *rows;
    int status = FAILURE_OK;
    bool body = cli_flag(cli, "body");
    const char *id;
    char *source;
    if (!event_name_split(cli, cli->args[0], &source, &id))
        return FAILURE_USAGE;
    const char *const params[] = {source, id};
    const struct ask ask = {body ? CLI_SQL_WEBHOOK_BODY : CLI_SQL_WEBHOOK_SHOW, 2, params,
                            "cannot read the webhook"};
    if (cli_connect(cli, &session, &status)) {
        if (ask_rows(cli, session, &ask, &rows, &status)) {
            if (session_rows_count(rows) == 0)
                status = event_name_missing(cli, cli->args[0]);
            else if (body)
                body_print(session_rows_text(rows, 0, 0));
            else if (cli->json)
                puts(session_rows_text(rows, 0, JSON));
            else
                ask_print_fields(rows, fields, JSON);
            session_rows_free(rows);
        }
        session_close(session);
    }
    free(source);
    return status;
}
