/* The list of all subscriptions is read first, a hundred a request; then those that are known here
 * and were not in it are asked for one by one. Of one workspace, its customers and subscriptions
 * only. What an answer holds and how far the run is are written in one transaction, so an attempt
 * goes on behind the last one that did. An attempt ends after a while, so that what it holds of the
 * answers is given back. */
#include "reconcile.h"

#include "api.h"
#include "billing_sql.h"

#include <stdlib.h>
#include <string.h>

enum { ATTEMPT_REQUESTS = 25, ATTEMPT_US = 30000000, NEXT_MAX = ATTEMPT_REQUESTS };

struct run {
    struct errand_job *job;
    const char *policy, *id; /* id: of the job, as text */
    int64_t started_us;
    int page; /* the last one that is done */
    bool listed;
    int requests;
    int64_t checked, repaired;
};

/* The rows of a statement; NULL: the job was finished. */
static const struct errand_rows *run_query(const struct run *run, int statement, size_t count,
                                           const char *const *params)
{
    const struct errand_rows *rows;
    const char *error;
    if (errand_query(run->job, statement, count, params, &rows, &error))
        return rows;
    if (errand_query_class(run->job) == ERRAND_SQL_PERMANENT)
        errand_fail(run->job, "%s", error);
    else
        errand_retry(run->job, -1, "%s", error);
    return NULL;
}

static bool run_begin(struct run *run)
{
    const char *workspace =
        json_string_value(json_object_get(errand_args(run->job), "workspace_id"));
    const char *params[] = {run->id, workspace};
    const struct errand_rows *rows = run_query(run, BILLING_SQL_RECONCILE_BEGIN, 2, params);
    if (!rows)
        return false;
    run->page = (int)errand_rows_int(rows, 0, 0);
    run->listed = errand_rows_bool(rows, 0, 1);
    run->checked = errand_rows_int(rows, 0, 2);
    run->repaired = errand_rows_int(rows, 0, 3);
    return true;
}

static void run_tell(struct run *run, const struct errand_rows *rows)
{
    for (size_t i = 0; i < errand_rows_count(rows); i++) {
        const char *id = errand_rows_text(rows, i, 0), *outcome = errand_rows_text(rows, i, 1),
                   *effect = errand_rows_text(rows, i, 2);
        run->checked++;
        if (strcmp(outcome, "repaired") == 0) {
            run->repaired++;
            errand_log(run->job, ERRAND_INFO, "subscription %s repaired: %s", id, effect);
        } else if (strcmp(outcome, "failed") == 0) {
            errand_log(run->job, ERRAND_WARN, "subscription %s cannot be used: %s", id ? id : "?",
                       effect);
        }
    }
    json_t *progress = json_pack("{s:i, s:I, s:I}", "page", run->page, "checked",
                                 (json_int_t)run->checked, "repaired", (json_int_t)run->repaired);
    errand_progress(run->job, progress, NULL);
    json_decref(progress);
}

/* progress: as of errand.billing_reconcile; taken over. */
static bool run_apply(struct run *run, const struct api_answer *answer, json_t *progress)
{
    const char *params[] = {run->id, "lemonsqueezy", errand_json_text(run->job, progress),
                            errand_json_text(run->job, answer->resources), run->policy};
    json_decref(progress);
    if (!params[3]) {
        errand_fail(run->job, "the provider's answer is nested too deep");
        return false;
    }
    const struct errand_rows *rows = run_query(run, BILLING_SQL_RECONCILE, 5, params);
    if (!rows)
        return false;
    run_tell(run, rows);
    errand_failpoint(run->job, "after_page");
    return true;
}

/* Before each request. The start of the attempt took the token of the first one. */
static bool run_may_ask(struct run *run)
{
    if (run->requests == ATTEMPT_REQUESTS ||
        errand_now_us(run->job) - run->started_us > ATTEMPT_US) {
        errand_snooze(run->job, errand_now_us(run->job), "goes on");
        return false;
    }
    if (run->requests++ > 0)
        errand_rate_wait(run->job);
    return true;
}

static bool run_page(struct run *run)
{
    struct api_answer answer;
    if (!run_may_ask(run) || !api_get(run->job, api_list_path(run->job, run->page + 1), &answer))
        return false;
    if (answer.missing) {
        errand_fail(run->job,
                    "Lemon Squeezy's API has no list of subscriptions there: are [billing] "
                    "api_url and store_id right?");
        return false;
    }
    run->page++;
    run->listed = answer.is_last;
    return run_apply(run, &answer,
                     json_pack("{s:i, s:b}", "page", run->page, "listed", run->listed));
}

static bool run_one(struct run *run, const char *what, const char *id)
{
    struct api_answer answer;
    if (!run_may_ask(run) || !api_get(run->job, api_one_path(run->job, what, id), &answer))
        return false;
    if (answer.missing)
        errand_log(run->job, ERRAND_WARN,
                   "the provider does not know %s %s; what is known of it stays as it is", what,
                   id);
    return run_apply(
        run, &answer,
        json_pack("{s:s, s:s, s:b}", "what", what, "id", id, "missing", answer.missing));
}

static void run_end(struct run *run)
{
    const char *params[] = {run->id};
    const struct errand_rows *rows = run_query(run, BILLING_SQL_RECONCILE_END, 1, params);
    if (!rows)
        return;
    errand_result_text(run->job, errand_rows_text(rows, 0, 0), NULL);
    errand_done(run->job);
}

/* One by one, until none is left. */
static void run_rest(struct run *run)
{
    const char *params[] = {run->id, errand_int_text(run->job, NEXT_MAX)};
    const struct errand_rows *rows;
    while ((rows = run_query(run, BILLING_SQL_RECONCILE_NEXT, 2, params))) {
        if (errand_rows_count(rows) == 0) {
            run_end(run);
            return;
        }
        for (size_t i = 0; i < errand_rows_count(rows); i++)
            if (!run_one(run, errand_rows_text(rows, i, 0), errand_rows_text(rows, i, 1)))
                return;
    }
}

void reconcile_run(struct errand_job *job, const char *policy)
{
    struct run run = {.job = job,
                      .policy = policy,
                      .id = errand_int_text(job, errand_id(job)),
                      .started_us = errand_now_us(job)};
    if (!api_has_key()) {
        errand_cancelled(job, "no API key: set [billing] api_key or LEMONSQUEEZY_API_KEY");
        return;
    }
    if (!run_begin(&run))
        return;
    while (!run.listed)
        if (!run_page(&run))
            return;
    run_rest(&run);
}
