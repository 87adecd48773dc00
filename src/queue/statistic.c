#include "queue/statistic.h"

#include "base/log.h"
#include "base/mem.h"
#include "queue/dispatch.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <stdlib.h>

enum { STATISTIC_TIMEOUT_MS = 10000, STATISTIC_EVERY_US = 1000000, MINUTE_US = 60000000 };

struct statistic_cell {
    struct statistic_cell *next;
    int64_t minute; /* since 1970 */
    const struct workqueue *queue;
    const struct kind *kind; /* held: one version of several may be */
    enum outcome_code outcome;
    int64_t runner;
    struct total *total;
    bool fresh, under_way;
    long long jobs, wait_us, run_us;
    int waits[STATISTIC_BUCKETS], runs[STATISTIC_BUCKETS];
};

static void statistic_on_timer(void *owner);

void statistic_init(struct runner *runner)
{
    runner->statistic.written_us = INT64_MIN / 2;
    loop_timer_init(&runner->statistic.timer, &runner->loop, statistic_on_timer, runner);
}

static void cell_free(struct statistic_cell *cell)
{
    kind_release(cell->kind);
    free(cell);
}

void statistic_clear(struct runner *runner)
{
    while (runner->statistic.cells) {
        struct statistic_cell *next = runner->statistic.cells->next;
        cell_free(runner->statistic.cells);
        runner->statistic.cells = next;
    }
    totals_clear(&runner->statistic.totals);
}

int statistic_bucket(int64_t us)
{
    if (us < 128)
        return 0;
    int bucket = 63 - __builtin_clzll((unsigned long long)us / 64);
    return bucket < STATISTIC_BUCKETS ? bucket : STATISTIC_BUCKETS - 1;
}

/* ---- Counting ---- */

static bool cell_is(const struct statistic_cell *cell, const struct errand_job *job, int64_t minute,
                    int64_t runner)
{
    return cell->minute == minute && cell->kind->number == job->attempt->kind->number &&
           cell->queue == job->attempt->queue && cell->outcome == job->outcome.code &&
           cell->runner == runner;
}

/* The last one is most often the next one, too: it goes to the front. */
static struct statistic_cell *statistic_cell(struct statistic *statistic,
                                             const struct errand_job *job, int64_t minute)
{
    struct statistic_cell **at = &statistic->cells;
    while (*at && !cell_is(*at, job, minute, statistic->runner))
        at = &(*at)->next;
    struct statistic_cell *cell = *at;
    if (cell) {
        *at = cell->next;
    } else {
        cell = mem_zalloc(sizeof *cell);
        cell->minute = minute;
        cell->kind = kind_hold(job->attempt->kind);
        cell->queue = job->attempt->queue;
        cell->outcome = job->outcome.code;
        cell->runner = statistic->runner;
        cell->total = totals_find(&statistic->totals, cell->queue->name, cell->kind->name);
    }
    cell->next = statistic->cells;
    statistic->cells = cell;
    return cell;
}

static enum counts_outcome cell_counts_outcome(const struct statistic_cell *cell)
{
    switch (cell->outcome) {
    case OUTCOME_DONE:
        return COUNTS_DONE;
    case OUTCOME_CANCELLED:
        return COUNTS_CANCELLED;
    case OUTCOME_UNKNOWN:
        return COUNTS_UNKNOWN;
    case OUTCOME_RETRY:
        return COUNTS_RETRY;
    default:
        return COUNTS_DEAD;
    }
}

void statistic_count(struct runner *runner, const struct errand_job *job, int64_t finished_us)
{
    struct statistic *statistic = &runner->statistic;
    const struct entry *entry = job->owner;
    if (job->outcome.code == OUTCOME_SNOOZE || job->outcome.code == OUTCOME_WAIT)
        return;
    if (runner->id)
        statistic->runner = runner->id;
    struct statistic_cell *cell = statistic_cell(statistic, job, finished_us / MINUTE_US);
    cell->jobs++;
    total_count(cell->total, cell_counts_outcome(cell));
    cell->fresh = true;
    if (entry->started_us) {
        int64_t wait_us = entry->started_us - entry->run_at_us;
        int64_t run_us = finished_us - entry->started_us;
        cell->wait_us += wait_us > 0 ? wait_us : 0;
        cell->run_us += run_us > 0 ? run_us : 0;
        cell->waits[statistic_bucket(wait_us)]++;
        cell->runs[statistic_bucket(run_us)]++;
        total_count_times(cell->total, wait_us, run_us);
    }
    if (statistic->fresh)
        return;
    statistic->fresh = true;
    loop_timer_set(&statistic->timer, clock_mono_us() + STATISTIC_EVERY_US);
}

/* ---- Writing ---- */

static const char *cell_outcome(const struct statistic_cell *cell)
{
    return counts_outcome_name(cell_counts_outcome(cell));
}

static bool cell_is_sent(const struct statistic_cell *cell)
{
    return cell->under_way;
}

/* One array of the statement: an element for each cell that is sent. */
static void params_add_numbers(struct params *params, const struct statistic *statistic,
                               long long (*number)(const struct statistic_cell *cell))
{
    struct buf *buf = params_open_array(params);
    for (const struct statistic_cell *cell = statistic->cells; cell; cell = cell->next)
        if (cell_is_sent(cell))
            buf_array_int(buf, number(cell));
    params_close_array(params);
}

static void params_add_names(struct params *params, const struct statistic *statistic,
                             const char *(*name)(const struct statistic_cell *cell))
{
    struct buf *buf = params_open_array(params);
    for (const struct statistic_cell *cell = statistic->cells; cell; cell = cell->next)
        if (cell_is_sent(cell))
            buf_array_text(buf, name(cell));
    params_close_array(params);
}

static void params_add_histograms(struct params *params, const struct statistic *statistic,
                                  const int *(*histogram)(const struct statistic_cell *cell))
{
    struct buf *buf = params_open_array(params), one;
    buf_init(&one, 0);
    for (const struct statistic_cell *cell = statistic->cells; cell; cell = cell->next) {
        if (!cell_is_sent(cell))
            continue;
        buf_reset(&one);
        buf_array_open(&one);
        for (int i = 0; i < STATISTIC_BUCKETS; i++)
            buf_array_int(&one, histogram(cell)[i]);
        buf_array_close(&one);
        buf_array_text(buf, buf_text(&one));
    }
    buf_clear(&one);
    params_close_array(params);
}

static long long cell_minute_s(const struct statistic_cell *cell)
{
    return cell->minute * 60;
}

static const char *cell_queue(const struct statistic_cell *cell)
{
    return cell->queue->name;
}

static const char *cell_kind(const struct statistic_cell *cell)
{
    return cell->kind->name;
}

static long long cell_runner(const struct statistic_cell *cell)
{
    return cell->runner;
}

static long long cell_jobs(const struct statistic_cell *cell)
{
    return cell->jobs;
}

static long long cell_wait_us(const struct statistic_cell *cell)
{
    return cell->wait_us;
}

static long long cell_run_us(const struct statistic_cell *cell)
{
    return cell->run_us;
}

static const int *cell_waits(const struct statistic_cell *cell)
{
    return cell->waits;
}

static const int *cell_runs(const struct statistic_cell *cell)
{
    return cell->runs;
}

/* Minutes that are over and written are forgotten; what was counted since is sent. */
static void statistic_pick(struct statistic *statistic, int64_t minute)
{
    for (struct statistic_cell **at = &statistic->cells; *at;) {
        struct statistic_cell *cell = *at;
        cell->under_way = cell->fresh;
        cell->fresh = false;
        if (cell->under_way || cell->minute >= minute - 1) {
            at = &cell->next;
            continue;
        }
        *at = cell->next;
        cell_free(cell);
    }
}

static void statistic_add(struct runner *runner, struct db_unit *unit)
{
    struct statistic *statistic = &runner->statistic;
    struct params params = {.count = 0};
    statistic_pick(statistic, clock_database_us(&runner->clock) / MINUTE_US);
    params_add_numbers(&params, statistic, cell_minute_s);
    params_add_names(&params, statistic, cell_queue);
    params_add_names(&params, statistic, cell_kind);
    params_add_names(&params, statistic, cell_outcome);
    params_add_numbers(&params, statistic, cell_runner);
    params_add_numbers(&params, statistic, cell_jobs);
    params_add_numbers(&params, statistic, cell_wait_us);
    params_add_numbers(&params, statistic, cell_run_us);
    params_add_histograms(&params, statistic, cell_waits);
    params_add_histograms(&params, statistic, cell_runs);
    params_add_to(&params, unit, QUEUE_SQL_STATISTIC_WRITE, false);
    params_clear(&params);
    statistic->fresh = false;
    statistic->under_way = true;
    statistic->written_us = clock_mono_us();
    loop_timer_stop(&statistic->timer);
}

bool statistic_join(struct runner *runner, struct db_unit *unit)
{
    const struct statistic *statistic = &runner->statistic;
    if (!statistic->fresh || statistic->under_way || statistic->apart ||
        clock_mono_us() - statistic->written_us < STATISTIC_EVERY_US)
        return false;
    statistic_add(runner, unit);
    return true;
}

void statistic_on_written(struct runner *runner, const struct err *err)
{
    struct statistic *statistic = &runner->statistic;
    bool again = err->code != ERR_NONE && runner->phase < RUNNER_STOPPING;
    statistic->under_way = false;
    for (struct statistic_cell *cell = statistic->cells; cell; cell = cell->next) {
        cell->fresh |= cell->under_way && again;
        cell->under_way = false;
    }
    statistic->fresh |= again;
    statistic->apart |= again;
    if (statistic->fresh)
        loop_timer_set(&statistic->timer, clock_mono_us() + STATISTIC_EVERY_US);
    if (runner->phase == RUNNER_STOPPING)
        dispatch_schedule(runner);
}

static void statistic_on_done(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    if (unit->err.code != ERR_NONE)
        log_event(LOG_WARN, "writing statistics failed", "error", unit->err.text, NULL);
    else
        runner->statistic.apart = false;
    statistic_on_written(runner, &unit->err);
}

static void statistic_on_timer(void *owner)
{
    struct runner *runner = owner;
    if (!runner->statistic.fresh || runner->statistic.under_way)
        return;
    struct db_unit *unit = db_unit_new(DB_PLAIN, statistic_on_done, runner);
    statistic_add(runner, unit);
    db_pool_submit(&runner->writes, unit, STATISTIC_TIMEOUT_MS);
}

bool statistic_is_written(struct runner *runner)
{
    statistic_on_timer(runner);
    return !runner->statistic.under_way;
}
