#include "cli/act.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/tally.h"

#include <stdio.h>
#include <string.h>

/* A transaction that met another one's locks has done nothing: it is done again. */
bool act_batch(const struct act *act, const struct cli *cli, struct session *session,
               const char *ids, struct session_rows **rows, int *status)
{
    const char *const params[] = {ids, act->extra};
    char what[64];
    for (int tries = 1;; tries++) {
        struct err err = {0};
        if (session_run(session, &cli_sql[act->statement], act->params, params, rows, &err))
            return true;
        if (strncmp(err.sqlstate, "40", 2) == 0 && tries < ACT_TRIES)
            continue;
        snprintf(what, sizeof what, "%s cannot be done", cli->command->name);
        *status = failure_statement(cli, session, what, &err);
        return false;
    }
}

static const char *act_hint(const struct act *act, const char *result)
{
    if (strcmp(act->noun, "event") == 0 && strcmp(result, "not found") == 0)
        return "`errand webhook list` shows those that there are.";
    static const struct {
        const char *result, *hint;
    } hints[] = {
        {"not found", "It may have ended: `errand jobs show ID` says so."},
        {"running", "It runs: wait for its end, or cancel it first."},
        {"ended", "It ended, and not as a dead letter: enqueue it anew."},
        {"not ended", "Its job has not ended: `errand webhook show EVENT` says why."},
        {"no kind", "It was stored without a job: enqueue one by hand."},
        {"key taken", "Another job bears its key: `errand jobs list --key KEY` shows which."},
    };
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strcmp(result, hints[i].result) == 0)
            return hints[i].hint;
    return "";
}

static bool act_is_good(const struct act *act, const char *result)
{
    for (size_t i = 0; act->good[i]; i++)
        if (strcmp(act->good[i], result) == 0)
            return true;
    return false;
}

/* Says what was not done, if anything: the exit status. */
static int act_judge(const struct act *act, const struct cli *cli, const struct table *table)
{
    size_t bad = 0, last = 0, missing = 0;
    for (size_t i = 0; i < table->rows; i++) {
        const char *result = table->cells[i * 2 + 1];
        if (act_is_good(act, result))
            continue;
        bad++;
        last = i;
        missing += strcmp(result, "not found") == 0;
    }
    if (bad == 0)
        return FAILURE_OK;
    char message[160];
    const char *result = table->cells[last * 2 + 1];
    if (bad == 1)
        snprintf(message, sizeof message, "%s %.80s was not %s: %.30s", act->noun,
                 table->cells[last * 2], act->done, result);
    else
        snprintf(message, sizeof message, "%zu of %zu %ss were not %s", bad, table->rows, act->noun,
                 act->done);
    return failure_tell(cli, missing == bad ? FAILURE_NOT_FOUND : FAILURE_FAILED, message,
                        act_hint(act, result));
}

static void act_print_ids(const struct act *act, const struct cli *cli, const struct table *table)
{
    if (!cli->json) {
        table_print(table);
        return;
    }
    const char *quote = strcmp(act->noun, "job") == 0 ? "" : "\"";
    printf("{\"%ss\": [", act->noun);
    for (size_t i = 0; i < table->rows; i++) {
        struct buf id;
        buf_init(&id, 0);
        str_escape(&id, table->cells[i * 2], strlen(table->cells[i * 2]));
        printf("%s{\"id\": %s%s%s, \"result\": \"%s\"}", i ? ",\n " : "", quote, buf_text(&id),
               quote, table->cells[i * 2 + 1]);
        buf_clear(&id);
    }
    puts("]}");
}

int act_on_ids(const struct act *act, const struct cli *cli, struct session *session)
{
    static const char *const headings[] = {"id", "result"};
    static const struct table_shape shape = {headings, 2, 3, false};
    struct table table;
    int status = FAILURE_OK;
    bool ok = true;
    table_init(&table, &shape);
    for (size_t at = 0; ok && at < cli->arg_count; at += ACT_BATCH) {
        size_t count = cli->arg_count - at < ACT_BATCH ? cli->arg_count - at : ACT_BATCH;
        struct session_rows *rows;
        struct buf ids;
        buf_init(&ids, 0);
        ask_ids(&ids, cli->args + at, count);
        ok = act_batch(act, cli, session, buf_text(&ids), &rows, &status);
        for (size_t i = 0; ok && i < count; i++)
            table_add(&table, (const char *const[]){session_rows_text(rows, i, 0),
                                                    session_rows_text(rows, i, 1)});
        if (ok)
            session_rows_free(rows);
        buf_clear(&ids);
    }
    if (table.rows > 0)
        act_print_ids(act, cli, &table);
    if (ok)
        status = act_judge(act, cli, &table);
    table_clear(&table);
    return status;
}

void act_print_tally(const struct act *act, const struct cli *cli, const struct tally *tally)
{
    if (cli->json) {
        printf("{\"count\": %zu, \"results\": {", tally->total);
        for (size_t i = 0; i < tally->words; i++)
            printf("%s\"%s\": %zu", i ? ", " : "", tally->items[i].word, tally->items[i].count);
        puts("}}");
        return;
    }
    for (size_t i = 0; i < tally->words; i++)
        printf("%s\t%zu\n", tally->items[i].word, tally->items[i].count);
    if (tally->words == 0)
        printf("no %s was found\n", act->noun);
}
