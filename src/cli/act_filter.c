#include "cli/act.h"

#include "base/buf.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/filter.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/tally.h"

#include <stdio.h>

enum { ACT_COUNT_PAGE = 10000, ACT_SAMPLE = 10 };

/* A page of what the filter finds in a lane, below the page before it. */
struct act_scan {
    struct filter *filter;
    char before[32], limit[32];
    size_t page;
};

static void act_scan_lane(struct act_scan *scan, const char *lane, size_t page)
{
    scan->page = page;
    snprintf(scan->limit, sizeof scan->limit, "%zu", page);
    scan->filter->params[FILTER_LANE] = lane;
    scan->filter->params[FILTER_LIMIT] = scan->limit;
    scan->filter->params[FILTER_BEFORE] = NULL;
    scan->filter->params[FILTER_JSON] = "false";
}

/* *more: there may be another page. */
static bool act_scan_next(struct act_scan *scan, const struct cli *cli, struct session *session,
                          struct session_rows **rows, bool *more, int *status)
{
    const struct ask ask = {CLI_SQL_JOBS_FIND, FILTER_PARAMS, scan->filter->params,
                            "cannot find the jobs"};
    if (!ask_rows(cli, session, &ask, rows, status))
        return false;
    size_t count = session_rows_count(*rows);
    *more = count == scan->page;
    if (count > 0) {
        snprintf(scan->before, sizeof scan->before, "%s", session_rows_text(*rows, count - 1, 0));
        scan->filter->params[FILTER_BEFORE] = scan->before;
    }
    return true;
}

static bool act_count_lane(struct filter *filter, const struct cli *cli, struct session *session,
                           const char *lane, size_t *count, int *status)
{
    struct act_scan scan = {.filter = filter};
    bool more = true;
    act_scan_lane(&scan, lane, ACT_COUNT_PAGE);
    while (more) {
        struct session_rows *rows;
        if (!act_scan_next(&scan, cli, session, &rows, &more, status))
            return false;
        *count += session_rows_count(rows);
        session_rows_free(rows);
    }
    return true;
}

static bool act_do_rows(const struct act *act, const struct cli *cli, struct session *session,
                        const struct session_rows *found, struct tally *tally, int *status)
{
    struct session_rows *rows;
    struct buf ids;
    buf_init(&ids, 0);
    buf_array_open(&ids);
    for (size_t i = 0; i < session_rows_count(found); i++)
        buf_array_text(&ids, session_rows_text(found, i, 0));
    buf_array_close(&ids);
    bool ok = act_batch(act, cli, session, buf_text(&ids), &rows, status);
    if (ok) {
        for (size_t i = 0; i < session_rows_count(rows); i++)
            tally_add(tally, session_rows_text(rows, i, 1));
        session_rows_free(rows);
    }
    buf_clear(&ids);
    return ok;
}

static bool act_do_lane(const struct act *act, struct filter *filter, const struct cli *cli,
                        struct session *session, const char *lane, struct tally *tally, int *status)
{
    struct act_scan scan = {.filter = filter};
    bool more = true, ok = true;
    act_scan_lane(&scan, lane, ACT_BATCH);
    while (ok && more) {
        struct session_rows *rows;
        if (!act_scan_next(&scan, cli, session, &rows, &more, status))
            return false;
        if (session_rows_count(rows) > 0)
            ok = act_do_rows(act, cli, session, rows, tally, status);
        session_rows_free(rows);
    }
    return ok;
}

/* What would be touched. */
static int act_announce(const struct act *act, struct filter *filter, const struct cli *cli,
                        struct session *session, size_t count)
{
    struct session_rows *rows;
    int status = FAILURE_OK;
    const struct ask ask = {CLI_SQL_JOBS_FIND, FILTER_PARAMS, filter->params,
                            "cannot find the jobs"};
    char limit[32], message[96];
    snprintf(limit, sizeof limit, "%d", ACT_SAMPLE);
    filter->params[FILTER_LANE] = filter->params[FILTER_BEFORE] = NULL;
    filter->params[FILTER_LIMIT] = limit;
    filter->params[FILTER_JSON] = cli->json ? "true" : "false";
    if (!ask_rows(cli, session, &ask, &rows, &status))
        return status;
    if (cli->json) {
        printf("{\"count\": %zu, \"jobs\": ", count);
        ask_print_json(rows, filter_shape.columns, session_rows_count(rows));
        puts("}");
    } else {
        table_print_rows(&filter_shape, rows, SIZE_MAX);
        if (count > session_rows_count(rows))
            printf("... and %zu more\n", count - session_rows_count(rows));
    }
    session_rows_free(rows);
    snprintf(message, sizeof message, "%zu %s would be %s", count, count == 1 ? "job" : "jobs",
             act->done);
    return failure_usage(cli, "Add --yes to do it.", "%s", message);
}

static bool act_on_lanes(const struct act *act, struct filter *filter, const struct cli *cli,
                         struct session *session, bool yes, struct tally *tally, size_t *count,
                         int *status)
{
    struct session_rows *lanes;
    const char *const params[] = {filter->params[FILTER_QUEUE]};
    bool ok =
        ask_rows(cli, session, &(struct ask){CLI_SQL_JOBS_LANES, 1, params, "cannot find the jobs"},
                 &lanes, status);
    if (!ok)
        return false;
    for (size_t i = 0; ok && i < session_rows_count(lanes); i++) {
        const char *lane = session_rows_text(lanes, i, 0);
        ok = yes ? act_do_lane(act, filter, cli, session, lane, tally, status)
                 : act_count_lane(filter, cli, session, lane, count, status);
    }
    session_rows_free(lanes);
    return ok;
}

int act_on_filter(const struct act *act, struct filter *filter, const struct cli *cli,
                  struct session *session)
{
    struct tally tally = {0};
    bool yes = cli_flag(cli, "yes") != NULL;
    size_t count = 0;
    int status = FAILURE_OK;
    filter_look_in(filter, act->places);
    bool ok = filter_resolve(filter, cli, session, &status) &&
              act_on_lanes(act, filter, cli, session, yes, &tally, &count, &status);
    if (ok && !yes && count > 0)
        return act_announce(act, filter, cli, session, count);
    if (ok || tally.total > 0)
        act_print_tally(act, cli, &tally);
    return status;
}
