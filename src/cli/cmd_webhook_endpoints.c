/* errand webhook endpoints */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "web/source.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Columns of webhook_endpoints. */
enum column { SOURCE, LAST_EVENT, LAST_DAY, STORED, UNASSIGNED, FAILED, LAST_KIND, COLUMNS };

/* Of a source that errand has no route for, because somebody else's endpoint stores its events: "".
 */
static const char *secret_state(const struct cli *cli, const struct source *source)
{
    struct signature_keys keys;
    struct err err;
    if (!source)
        return "";
    if (!source_keys(source, cli->settings, &keys, &err))
        return "unusable";
    bool first = settings_text(cli->settings, source->section, source->secret);
    size_t count = keys.count;
    signature_keys_clear(&keys);
    return count == 0   ? "not set"
           : count == 2 ? "set, and the old one"
           : first      ? "set"
                        : "the old one only";
}

static void path_of(const struct source *source, char path[96])
{
    snprintf(path, 96, source ? "/webhooks/%s" : "", source ? source->name : "");
}

static void endpoints_print(const struct cli *cli, const struct source_list *list,
                            const struct session_rows *rows)
{
    static const char *const headings[] = {"source", "path",       "kind",
                                           "secret", "last_event", "last_24h",
                                           "stored", "unassigned", "failed"};
    static const struct table_shape shape = {headings, 9, 0x1f3, false};
    struct table table;
    table_init(&table, &shape);
    for (size_t i = 0; i < session_rows_count(rows); i++) {
        const struct source *source = source_list_find(list, session_rows_text(rows, i, SOURCE));
        char path[96];
        path_of(source, path);
        table_add(&table,
                  (const char *const[]){
                      session_rows_text(rows, i, SOURCE), path,
                      source ? source->kind : session_rows_text(rows, i, LAST_KIND),
                      secret_state(cli, source), session_rows_text(rows, i, LAST_EVENT),
                      session_rows_text(rows, i, LAST_DAY), session_rows_text(rows, i, STORED),
                      session_rows_text(rows, i, UNASSIGNED), session_rows_text(rows, i, FAILED)});
    }
    table_print(&table);
    table_clear(&table);
    if (!settings_text(cli->settings, "errand", "http_listen") && isatty(STDOUT_FILENO))
        puts("http_listen is not set: with these settings no runner takes events.");
}

static json_int_t number(const struct session_rows *rows, size_t row, enum column column)
{
    return atoll(session_rows_text(rows, row, column));
}

static void endpoints_print_json(const struct cli *cli, const struct source_list *list,
                                 const struct session_rows *rows)
{
    json_t *endpoints = json_array();
    for (size_t i = 0; i < session_rows_count(rows); i++) {
        const struct source *source = source_list_find(list, session_rows_text(rows, i, SOURCE));
        char path[96];
        path_of(source, path);
        json_array_append_new(
            endpoints,
            json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:I, s:I, s:I, s:I}", "source",
                      session_rows_text(rows, i, SOURCE), "path", source ? path : NULL, "kind",
                      source ? source->kind : session_rows_text(rows, i, LAST_KIND), "secret",
                      source ? secret_state(cli, source) : NULL, "last_event",
                      session_rows_text(rows, i, LAST_EVENT), "last_24h", number(rows, i, LAST_DAY),
                      "stored", number(rows, i, STORED), "unassigned", number(rows, i, UNASSIGNED),
                      "failed", number(rows, i, FAILED)));
    }
    json_t *all =
        json_pack("{s:s?, s:o}", "http_listen",
                  settings_text(cli->settings, "errand", "http_listen"), "endpoints", endpoints);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static int endpoints_ask(const struct cli *cli, const struct source_list *list)
{
    struct session *session;
    struct session_rows *rows;
    struct buf names;
    int status = FAILURE_OK;
    if (!cli_connect(cli, &session, &status))
        return status;
    buf_init(&names, 0);
    buf_array_open(&names);
    for (size_t i = 0; i < list->count; i++)
        buf_array_text(&names, list->sources[i].name);
    buf_array_close(&names);
    const char *const params[] = {buf_text(&names)};
    if (ask_rows(cli, session,
                 &(struct ask){CLI_SQL_WEBHOOK_ENDPOINTS, 1, params, "cannot read the events"},
                 &rows, &status)) {
        (cli->json ? endpoints_print_json : endpoints_print)(cli, list, rows);
        session_rows_free(rows);
    }
    buf_clear(&names);
    session_close(session);
    return status;
}

int cmd_webhook_endpoints(struct cli *cli)
{
    struct source_list list;
    struct err err = {0};
    if (!source_list_init(&list, cli->settings, &err))
        return failure_tell(cli, FAILURE_USAGE, err.text, "");
    int status = endpoints_ask(cli, &list);
    source_list_clear(&list);
    return status;
}
