/* errand stats */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/histogram.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/when.h"

#include <stdio.h>
#include <string.h>

const struct command_flag cmd_stats_flags[] = {
    {"since", "TIME", "from then on: -10m, -2d, 2031-01-31T09:00:00Z (default -1h)"},
    {"queue", "NAME", "of this queue"},
    {"kind", "KIND", "of this kind"},
    {NULL, NULL, NULL},
};

/* Columns of the statement: the kind, five counts, two histograms. */
enum { STATS_COUNTS = 5, STATS_WAITS = 6, STATS_RUNS = 7, STATS_COLUMNS = 10 };

static const char *const stats_headings[] = {"kind",      "done",    "retry",    "dead",
                                             "cancelled", "unknown", "wait_p50", "wait_p99",
                                             "run_p50",   "run_p99"};

/* p50 and p99 of waiting, then of running, in microseconds; negative where nothing is known. */
static void stats_times(const struct session_rows *rows, size_t row, double times[4])
{
    for (size_t i = 0; i < 2; i++) {
        struct histogram histogram;
        const char *array = session_rows_text(rows, row, i ? STATS_RUNS : STATS_WAITS);
        bool known = array && histogram_parse(&histogram, array);
        times[i * 2] = known ? histogram_quantile(&histogram, 0.5) : -1;
        times[i * 2 + 1] = known ? histogram_quantile(&histogram, 0.99) : -1;
    }
}

static void stats_print(const struct session_rows *rows)
{
    static const struct table_shape shape = {stats_headings, STATS_COLUMNS, 0x3fe, false};
    struct table table;
    table_init(&table, &shape);
    for (size_t row = 0; row < session_rows_count(rows); row++) {
        char shown[4][HISTOGRAM_TIME_BYTES];
        double times[4];
        const char *cells[STATS_COLUMNS];
        stats_times(rows, row, times);
        for (size_t i = 0; i <= STATS_COUNTS; i++)
            cells[i] = session_rows_text(rows, row, i);
        for (size_t i = 0; i < 4; i++) {
            histogram_print_time(shown[i], times[i]);
            cells[1 + STATS_COUNTS + i] = shown[i];
        }
        table_add(&table, cells);
    }
    table_print(&table);
    table_clear(&table);
}

static void stats_print_json(const struct session_rows *rows, const char *since)
{
    printf("{\"since\": \"%s\", \"kinds\": [", since);
    for (size_t row = 0; row < session_rows_count(rows); row++) {
        double times[4];
        printf("%s{\"kind\": \"%s\"", row ? ",\n " : "", session_rows_text(rows, row, 0));
        for (size_t i = 1; i <= STATS_COUNTS; i++)
            printf(", \"%s\": %s", stats_headings[i], session_rows_text(rows, row, i));
        stats_times(rows, row, times);
        for (size_t i = 0; i < 4; i++)
            if (times[i] < 0)
                printf(", \"%s_ms\": null", stats_headings[1 + STATS_COUNTS + i]);
            else
                printf(", \"%s_ms\": %.3f", stats_headings[1 + STATS_COUNTS + i], times[i] / 1e3);
        putchar('}');
    }
    puts("]}");
}

static bool stats_ask(const struct cli *cli, struct session *session, struct session_rows **rows,
                      char since[ASK_MOMENT_BYTES], int *status)
{
    const char *text = cli_flag(cli, "since");
    if (!ask_moment(cli, session, text ? text : "-1h", "flag --since", since, status))
        return false;
    const char *const params[] = {since, cli_flag(cli, "queue"), cli_flag(cli, "kind")};
    return ask_rows(cli, session,
                    &(struct ask){CLI_SQL_STATS, 3, params, "cannot read the statistics"}, rows,
                    status);
}

int cmd_stats(struct cli *cli)
{
    struct session *session;
    struct session_rows *rows;
    char since[ASK_MOMENT_BYTES];
    int status = FAILURE_OK;
    if (!cli_connect(cli, &session, &status))
        return status;
    if (stats_ask(cli, session, &rows, since, &status)) {
        if (cli->json)
            stats_print_json(rows, since);
        else
            stats_print(rows);
        session_rows_free(rows);
    }
    session_close(session);
    return status;
}
