#include "queue/runner.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/acquire.h"
#include "queue/cutoff.h"
#include "queue/dispatch.h"
#include "queue/handover.h"
#include "queue/lease.h"
#include "queue/notify.h"
#include "queue/reader.h"
#include "queue/runner_state.h"
#include "queue/served.h"
#include "queue_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* After stop_timeout_ms, for handlers that are ended and what their end brings; and of that for
     * programs that they run, between SIGTERM and SIGKILL. */
    STOP_CUT_MS = 2000,
    STOP_CHILD_GRACE_MS = 1000,
    WORK_CONNECTIONS = 4,
    WRITE_CONNECTIONS = 3,
    SQL_CONNECTIONS = 4,
    /* Longer than the deadlines of the units, which come first; so a few at most wait on the
     * server for a lock that nobody here waits for any more. */
    CONTROL_STATEMENT_MS = 15000,
    READ_STATEMENT_MS = 20000,
    WORK_STATEMENT_MS = 60000,
    UPKEEP_FIRST_US = 1000000,
    UPKEEP_AGAIN_US = 300000000,
    UPKEEP_TIMEOUT_MS = 660000
};

static const int64_t UPKEEP_EVERY_US = INT64_C(3600) * 1000000;

struct lane *runner_lane(const struct runner *runner, int number)
{
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        if (lane->number == number && !lane->lost)
            return lane;
    return NULL;
}

void runner_bury_lanes(struct runner *runner)
{
    for (struct lane **at = &runner->lanes; *at;) {
        struct lane *lane = *at;
        if (!lane_is_over(lane)) {
            at = &lane->next;
            continue;
        }
        *at = lane->next;
        runner->lane_count--;
        lane_free(lane);
    }
}

struct workqueue *runner_workqueue(struct runner *runner, const char *name)
{
    for (struct workqueue *queue = runner->workqueues; queue; queue = queue->next)
        if (strcmp(queue->name, name) == 0)
            return queue;
    struct workqueue *queue = workqueue_new(runner, name);
    for (size_t i = 0; i < runner->registry.rate_count; i++) {
        const struct queue_rate *rate = &runner->registry.rates[i];
        if (strcmp(rate->queue, name) == 0)
            workqueue_ask_rate(queue, rate->per_second, rate->burst);
    }
    queue->next = runner->workqueues;
    runner->workqueues = queue;
    return queue;
}

void runner_fail(struct runner *runner, const struct err *err)
{
    log_event(LOG_ERROR, "errand cannot go on", "error", err->text, NULL);
    runner->exit_code = 1;
    runner->phase = RUNNER_STOPPED;
    loop_stop(&runner->loop);
}

/* ---- The control connection ---- */

static void on_up(struct db_pool *pool, void *owner)
{
    struct runner *runner = owner;
    (void)pool;
    if (runner->away_since_us)
        log_event(LOG_INFO, "database back", "away_ms",
                  log_int((clock_mono_us() - runner->away_since_us) / 1000), NULL);
    runner->away_since_us = 0;
    if (!runner->id)
        lease_register(runner);
    else if (runner->phase < RUNNER_LEAVING)
        lease_on_reconnect(runner);
}

static void on_down(struct db_pool *pool, const struct err *err, void *owner)
{
    struct runner *runner = owner;
    (void)pool;
    if (!runner->away_since_us) {
        log_event(LOG_WARN, "database away", "error", err->text, NULL);
        runner->away_since_us = clock_mono_us();
    }
    runner->listen = false;
    lease_doubt(runner);
    /* What was armed is not heard any more: poll until it is. */
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        lane->armed = false;
}

const struct registry *runner_registry(const struct runner *runner)
{
    return &runner->registry;
}

bool runner_is_ready(const struct runner *runner, const char **reason)
{
    *reason = runner->phase == RUNNER_STARTING ? "the runner is not registered yet\n"
              : runner->phase > RUNNER_RUNNING ? "the runner is stopping\n"
              : runner->away_since_us          ? "the database is away\n"
              : !lease_holds(runner)           ? "the lease does not hold\n"
                                               : NULL;
    return !*reason;
}

/* ---- Stopping ---- */

void runner_front_quiet(struct runner *runner)
{
    runner_check_stopped(runner);
}

void runner_check_stopped(struct runner *runner)
{
    if (runner->phase == RUNNER_STOPPING && !runner->dispatch.in_flight &&
        !runner->completion.count && dependents_are_told(runner) && statistic_is_written(runner) &&
        joblog_is_written(runner) &&
        (!runner->front || runner->front->is_quiet(runner->front->owner)))
        lease_leave(runner);
}

static void on_grace(void *owner)
{
    struct runner *runner = owner;
    if (runner->phase != RUNNER_STOPPING)
        return;
    const char *jobs = log_int((long long)(runner->dispatch.in_flight + runner->completion.count));
    if (runner->cutting || !runner->host.running) {
        log_event(LOG_WARN, "stopping before every job ended", "jobs", jobs, NULL);
        joblog_flush(runner);
        lease_leave(runner);
        return;
    }
    log_event(LOG_WARN, "time to stop is up, what still runs is ended", "jobs", jobs, NULL);
    runner->cutting = true;
    loop_timer_set(&runner->grace, clock_mono_us() + STOP_CUT_MS * 1000);
    attempt_host_cut(&runner->host, STOP_CHILD_GRACE_MS);
}

static void on_signal(struct ev_loop *ev, struct ev_signal *watcher, int events)
{
    struct runner *runner = watcher->data;
    (void)ev, (void)events;
    if (runner->phase >= RUNNER_STOPPING) {
        runner->exit_code = 130;
        loop_stop(&runner->loop);
        return;
    }
    log_event(LOG_INFO, "stopping", "running", log_int((long long)runner->dispatch.in_flight),
              NULL);
    runner->phase = RUNNER_STOPPING;
    /* Others may have the lanes at once; what runs here ends here. */
    lease_tell_stopping(runner);
    if (runner->front)
        runner->front->stop(runner->front->owner);
    for (struct workqueue *queue = runner->workqueues; queue; queue = queue->next)
        workqueue_stop(queue);
    handover_start_all(runner);
    int64_t grace_us = settings_integer(runner->settings, "errand", "stop_timeout_ms") * 1000;
    loop_timer_set(&runner->grace, clock_mono_us() + grace_us);
    dispatch_schedule(runner);
}

/* ---- Kinds that are files ---- */

static void on_kinds_changed(void *owner)
{
    struct runner *runner = owner;
    if (runner->phase < RUNNER_LEAVING)
        served_change(runner);
}

static void on_hangup(struct ev_loop *ev, struct ev_signal *watcher, int events)
{
    struct runner *runner = watcher->data;
    (void)ev, (void)events;
    const char *path = settings_text(runner->settings, "errand", "jobs");
    log_event(LOG_INFO, path ? "looking at the directory of jobs" : "no directory of jobs",
              "directory", path, NULL);
    if (path)
        kind_watch_reload(runner->kinds_watch);
}

static void on_acquire_again(void *owner)
{
    acquire_start(owner);
}

/* ---- Upkeep ---- */

static void on_upkept(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    if (unit->err.code == ERR_NONE || unit->err.code == ERR_CANCELLED)
        return;
    log_event(LOG_WARN, "upkeep failed", "error", unit->err.text, NULL);
    loop_timer_set(&runner->upkeep, clock_mono_us() + UPKEEP_AGAIN_US);
}

static void on_upkeep(void *owner)
{
    struct runner *runner = owner;
    loop_timer_set(&runner->upkeep, clock_mono_us() + UPKEEP_EVERY_US);
    if (runner->phase != RUNNER_RUNNING)
        return;
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_upkept, runner);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_UPKEEP_LIMITS], 0, NULL);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_HISTORY_MAINTAIN], 0, NULL);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_RUNNERS_FORGET], 0, NULL);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_STEPS_FORGET], 0, NULL);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_SIGNALS_FORGET], 0, NULL);
    db_pool_submit(&runner->work, unit, UPKEEP_TIMEOUT_MS);
    schedule_forget_zones(runner);
}

/* ---- Building and tearing down ---- */

static void runner_set_queues(struct runner *runner, const char *list)
{
    struct buf array;
    if (strcmp(list, "*") == 0)
        return;
    buf_init(&array, 0);
    buf_array_open(&array);
    char *copy = mem_strdup(list), *rest = copy;
    for (char *name; (name = strsep(&rest, ", "));)
        if (*name)
            buf_array_text(&array, name);
    buf_array_close(&array);
    free(copy);
    runner->queues_text = buf_steal(&array);
    runner->queues = runner->queues_text;
}

static void runner_set_name(struct runner *runner)
{
    char host[128] = "host", name[160];
    const char *given = settings_text(runner->settings, "errand", "name");
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "%s:%ld", host, (long)getpid());
    runner->name = mem_strdup(given ? given : name);
}

static void runner_open_pool(struct runner *runner, struct db_pool *pool, const char *name,
                             size_t size, int statement_ms)
{
    bool keep = pool == &runner->control;
    const char *url = settings_text(runner->settings, "errand", "database_url");
    const struct db_pool_options options = {
        .name = name,
        .conninfo = url ? url : "",
        .schema = settings_text(runner->settings, "errand", "schema"),
        .size = size,
        .statement_ms = statement_ms,
        .lock_ms = pool == &runner->writes ? WRITE_LOCK_MS : 0,
        .keep = keep,
        .on_up = keep ? on_up : NULL,
        .on_down = keep ? on_down : NULL,
        .on_notify = keep ? notify_on_message : NULL,
        .owner = runner,
    };
    db_pool_init(pool, &runner->loop, &options);
}

static void runner_watch_signal(struct runner *runner, struct ev_signal *watcher, int number,
                                void (*on_event)(struct ev_loop *, struct ev_signal *, int))
{
    ev_signal_init(watcher, on_event, number);
    watcher->data = runner;
    ev_signal_start(runner->loop.ev, watcher);
}

static void runner_init(struct runner *runner, const struct settings *settings)
{
    runner->settings = settings;
    runner->concurrency = (int)settings_integer(settings, "errand", "concurrency");
    runner_set_queues(runner, settings_text(settings, "errand", "queues"));
    runner_set_name(runner);
    served_init(runner);
    loop_init(&runner->loop);
    runner->host = (struct attempt_host){
        .loop = &runner->loop,
        .db = &runner->work,
        .sql = &runner->sql,
        .clock = &runner->clock,
        .settings = settings,
        .queue_calls = &workqueue_calls,
        .on_finished = dispatch_on_finished,
        .may_go_on = cutoff_may_go_on,
    };
    attempt_host_init(&runner->host, (size_t)settings_integer(settings, "errand", "threads"));
    reader_init(runner);
    dispatch_init(runner);
    claim_init(runner);
    progress_init(runner);
    limit_read_init(runner);
    cutoff_init(runner);
    joblog_init(runner);
    statistic_init(runner);
    dependents_init(runner);
    blocked_init(runner);
    schedule_init(runner);
    completion_init(runner);
    lease_init(runner, settings_integer(settings, "errand", "lease_ttl_ms"));
    loop_timer_init(&runner->acquire_again, &runner->loop, on_acquire_again, runner);
    loop_timer_init(&runner->grace, &runner->loop, on_grace, runner);
    loop_timer_init(&runner->upkeep, &runner->loop, on_upkeep, runner);
    loop_timer_set(&runner->upkeep, clock_mono_us() + UPKEEP_FIRST_US);
    retention_init(runner);
    runner_watch_signal(runner, &runner->on_term, SIGTERM, on_signal);
    runner_watch_signal(runner, &runner->on_int, SIGINT, on_signal);
    runner_watch_signal(runner, &runner->on_hup, SIGHUP, on_hangup);
    if (runner->kinds_watch)
        kind_watch_start(runner->kinds_watch, &runner->loop, on_kinds_changed, runner);
    runner_open_pool(runner, &runner->control, "errand control", 1, CONTROL_STATEMENT_MS);
    runner_open_pool(runner, &runner->reads, "errand reads", 1, READ_STATEMENT_MS);
    runner_open_pool(runner, &runner->writes, "errand writes", WRITE_CONNECTIONS,
                     WORK_STATEMENT_MS);
    runner_open_pool(runner, &runner->work, "errand jobs", WORK_CONNECTIONS, WORK_STATEMENT_MS);
    runner_open_pool(runner, &runner->sql, "errand sql", SQL_CONNECTIONS, 0); /* set by each */
}

/* Nothing runs any more. */
static void runner_clear(struct runner *runner)
{
    if (runner->front)
        runner->front->clear(runner->front->owner);
    db_pool_clear(&runner->control);
    db_pool_clear(&runner->reads);
    db_pool_clear(&runner->writes);
    db_pool_clear(&runner->work);
    db_pool_clear(&runner->sql);
    while (runner->lanes) {
        struct lane *next = runner->lanes->next;
        lane_free(runner->lanes);
        runner->lanes = next;
    }
    while (runner->workqueues) {
        struct workqueue *next = runner->workqueues->next;
        workqueue_free(runner->workqueues);
        runner->workqueues = next;
    }
    joblog_clear(runner);
    statistic_clear(runner);
    dependents_clear(runner);
    schedule_clear(runner);
    kind_watch_free(runner->kinds_watch);
    registry_clear(&runner->registry);
    attempt_host_clear(&runner->host);
    free(runner->queues_text);
    free(runner->name);
    served_clear(runner);
    loop_clear(&runner->loop);
}

int runner_run(const struct settings *settings, const struct errand_module *const *modules,
               const struct runner_front *front, struct err *err)
{
    static struct runner runner;
    err_clear(err);
    registry_init(&runner.registry);
    if (!registry_add(&runner.registry, modules, err) ||
        !registry_start(&runner.registry, settings, err)) {
        registry_clear(&runner.registry);
        return 1;
    }
    const char *jobs = settings_text(settings, "errand", "jobs");
    if (jobs)
        runner.kinds_watch = kind_watch_new(jobs, &runner.registry);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a write that fails */
    runner_init(&runner, settings);
    runner.front = front;
    if (front && !front->start(&runner, &runner.loop, settings, front->owner, err)) {
        runner_clear(&runner);
        return 1;
    }
    loop_run(&runner.loop);
    log_event(LOG_INFO, "runner stopped", "runner", runner.id_text, NULL);
    /* Handlers that did not end still stand on their stacks: the process ends under them. */
    if (runner.dispatch.in_flight || runner.completion.count) {
        attempt_host_abandon(&runner.host);
        _exit(runner.exit_code);
    }
    runner_clear(&runner);
    return runner.exit_code;
}
