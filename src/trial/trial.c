#include "trial/trial.h"

#include "db/pool.h"
#include "module/attempt.h"
#include "trial/note.h"
#include "trial_sql.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { TRIAL_CONNECTIONS = 2, EFFECTS_TIMEOUT_MS = 30000 };

struct trial {
    const struct trial_options *options;
    struct loop loop;
    struct db_pool pool;
    struct attempt_host host;
    struct attempt *attempt;
    struct loop_deferred finished;
    struct ev_signal on_int;
    json_t *calls, *jobs;
    bool committing;  /* what the database is told now are effects */
    size_t committed; /* of the jobs, those whose effects are dealt with */
    bool interrupted;
};

static void trial_note(struct trial *trial, json_t *note)
{
    json_array_append_new(trial->calls, note);
}

/* ---- What the queue would do for the handler ---- */

static void on_rate(void *owner, double per_second, double burst)
{
    trial_note(owner, json_pack("{s:s, s:f, s:f}", "call", "rate", "per_second", per_second,
                                "burst", burst));
}

static void on_hold(void *owner, int64_t ms)
{
    trial_note(owner, json_pack("{s:s, s:I}", "call", "hold", "ms", (json_int_t)ms));
}

static void on_pause(void *owner, int64_t ms, const char *reason)
{
    trial_note(owner, json_pack("{s:s, s:I, s:o}", "call", "pause", "ms", (json_int_t)ms, "reason",
                                note_text(reason, strlen(reason))));
}

static void on_progress(void *owner)
{
    struct trial *trial = owner;
    for (size_t i = 0; i < trial->attempt->count; i++) {
        struct errand_job *job = &trial->attempt->jobs[i];
        if (!job->progress_is_new)
            continue;
        job->progress_is_new = false;
        trial_note(trial,
                   json_pack("{s:s, s:o}", "call", "progress", "value", note_value(job->progress)));
    }
}

static void on_log(struct errand_job *job, int level, const char *text)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    trial_note(job->attempt->queue,
               json_pack("{s:s, s:s, s:s}", "call", "log", "level", levels[level], "text", text));
}

static void unit_add_text(struct db_unit *unit, int statement, const char *text)
{
    db_unit_add(unit, &trial_sql[statement], 1, &text);
}

static void on_step(struct errand_job *job, struct db_unit *unit, const char *name,
                    const char *result)
{
    struct trial *trial = job->attempt->queue;
    json_t *known = json_object_get(trial->options->steps, name);
    if (result) {
        json_t *value = known ? json_incref(known) : note_value(result);
        json_object_set(trial->options->steps, name, value);
        trial_note(trial,
                   json_pack("{s:s, s:s, s:o}", "call", "step", "name", name, "result", value));
        db_unit_add(unit, &trial_sql[TRIAL_SQL_STEP_WRITTEN], 0, NULL);
        return;
    }
    char *text = known ? json_dumps(known, JSON_ENCODE_ANY) : NULL;
    unit_add_text(unit, TRIAL_SQL_STEP_KNOWN, text);
    free(text);
    trial_note(trial,
               json_pack("{s:s, s:s, s:b}", "call", "step", "name", name, "known", known != NULL));
}

static void on_signal(struct errand_job *job, struct db_unit *unit, const char *name,
                      int64_t timeout_ms)
{
    struct trial *trial = job->attempt->queue;
    const json_t *sent = json_object_get(trial->options->signals, name);
    json_t *payload = json_array_get(sent, 0);
    char *text = payload ? json_dumps(payload, JSON_ENCODE_ANY) : NULL;
    const char *const params[] = {text, sent && !payload ? "t" : "f"};
    db_unit_add(unit, &trial_sql[TRIAL_SQL_JOB_OWN], 0, NULL);
    db_unit_add(unit, &trial_sql[TRIAL_SQL_SIGNAL], 2, params);
    free(text);
    json_t *note = json_pack("{s:s, s:s, s:I}", "call", "wait", "name", name, "timeout_ms",
                             (json_int_t)timeout_ms);
    if (payload)
        json_object_set(note, "payload", payload);
    else
        json_object_set_new(note, "timed_out", json_boolean(sent != NULL || timeout_ms == 0));
    trial_note(trial, note);
}

static bool on_rate_wait(void *owner, struct attempt *attempt)
{
    (void)owner, (void)attempt;
    return true;
}

static void on_rate_wait_cancel(void *owner, struct attempt *attempt)
{
    (void)owner, (void)attempt;
}

static const struct attempt_queue_calls trial_calls = {
    .rate = on_rate,
    .hold = on_hold,
    .pause = on_pause,
    .progress = on_progress,
    .log = on_log,
    .step = on_step,
    .signal = on_signal,
    .rate_wait = on_rate_wait,
    .rate_wait_cancel = on_rate_wait_cancel,
};

/* ---- What goes out ---- */

static bool statement_is_own(const struct errand_statement *statement)
{
    return statement >= trial_sql && statement < trial_sql + TRIAL_SQL_COUNT;
}

static void on_unit(const struct db_unit *unit, void *owner)
{
    struct trial *trial = owner;
    for (size_t i = 0; i < unit->count; i++) {
        const struct db_statement *statement = &unit->statements[i];
        if (!statement_is_own(statement->statement))
            trial_note(trial,
                       note_statement(trial->committing ? "effect" : "sql", statement, &unit->err));
    }
}

static void on_child(struct errand_job *job, const struct errand_child *child,
                     const struct errand_child_result *result)
{
    trial_note(job->attempt->queue, note_child(child, result));
}

static const char *on_request(const struct errand_request *request, void *owner)
{
    struct trial *trial = owner;
    trial_note(trial, json_pack("{s:s}", "call", "http"));
    return trial->options->route(request, trial->options->route_owner);
}

/* ---- The end ---- */

static void trial_commit(struct trial *trial);

static void on_committed(struct db_unit *unit, void *owner)
{
    struct trial *trial = owner;
    struct errand_job *job = &trial->attempt->jobs[trial->committed];
    if (unit->err.code != ERR_NONE)
        job->outcome = (struct outcome){
            .code = OUTCOME_RETRY,
            .delay_ms = -1,
            .text = arena_printf(&trial->attempt->arena, "completing the job failed: %s",
                                 unit->err.text),
        };
    trial->committed++;
    trial_commit(trial);
}

/* The effects of one job after the other, each in a transaction. */
static void trial_commit(struct trial *trial)
{
    struct attempt *attempt = trial->attempt;
    trial->committing = true;
    for (; trial->committed < attempt->count; trial->committed++) {
        const struct outcome *outcome = &attempt->jobs[trial->committed].outcome;
        if (!outcome->effects || outcome->code == OUTCOME_WAIT)
            continue;
        struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_committed, trial);
        for (const struct effect *effect = outcome->effects; effect; effect = effect->next)
            db_unit_add(unit, effect->statement, effect->count, effect->params);
        db_pool_submit(&trial->pool, unit, EFFECTS_TIMEOUT_MS);
        return;
    }
    for (size_t i = 0; i < attempt->count; i++)
        json_array_append_new(trial->jobs, note_outcome(&attempt->jobs[i]));
    loop_stop(&trial->loop);
}

static void on_finished_deferred(void *owner)
{
    trial_commit(owner);
}

static void on_finished(struct attempt *attempt)
{
    struct trial *trial = attempt->queue;
    loop_defer(&trial->loop, &trial->finished);
}

static void on_interrupt(struct ev_loop *ev, struct ev_signal *watcher, int events)
{
    struct trial *trial = watcher->data;
    (void)ev, (void)events;
    if (trial->interrupted || trial->attempt->returned)
        return;
    trial->interrupted = true;
    attempt_cancel(trial->attempt);
}

/* ---- Running ---- */

static void trial_init(struct trial *trial, const struct trial_options *options)
{
    *trial = (struct trial){.options = options, .calls = json_array(), .jobs = json_array()};
    loop_init(&trial->loop);
    trial->finished = (struct loop_deferred){.run = on_finished_deferred, .owner = trial};
    db_pool_init(&trial->pool, &trial->loop,
                 &(struct db_pool_options){
                     .name = "errand test",
                     .conninfo = options->conninfo,
                     .schema = options->schema,
                     .size = TRIAL_CONNECTIONS,
                     .on_unit = on_unit,
                     .owner = trial,
                 });
    trial->host = (struct attempt_host){
        .loop = &trial->loop,
        .db = &trial->pool,
        .sql = &trial->pool,
        .clock = &options->clock,
        .settings = options->settings,
        .queue_calls = &trial_calls,
        .on_finished = on_finished,
        .on_child = on_child,
    };
    attempt_host_init(&trial->host,
                      (size_t)settings_integer(options->settings, "errand", "threads"));
    http_set_route(trial->host.http, on_request, trial);
    ev_signal_init(&trial->on_int, on_interrupt, SIGINT);
    trial->on_int.data = trial;
    ev_signal_start(trial->loop.ev, &trial->on_int);
}

static void trial_start(struct trial *trial)
{
    const struct trial_options *options = trial->options;
    const struct kind *kind = options->kind;
    trial->attempt = attempt_new(&trial->host, kind, options->count, trial);
    for (size_t i = 0; i < options->count; i++) {
        struct errand_job *job = &trial->attempt->jobs[i];
        job->id = options->id + (int64_t)i;
        job->number = options->attempt;
        job->max_attempts = kind->max_attempts;
        job->queue = kind->queue;
        job->args_text = options->args[i];
        job->run_at_us = clock_database_us(&options->clock);
    }
    trial->attempt->started_us = clock_database_us(trial->host.clock);
    attempt_start(trial->attempt, kind->timeout_ms);
}

json_t *trial_run(const struct trial_options *options)
{
    struct trial trial;
    trial_init(&trial, options);
    trial_start(&trial);
    loop_run(&trial.loop);
    attempt_free(trial.attempt);
    ev_signal_stop(trial.loop.ev, &trial.on_int);
    db_pool_clear(&trial.pool);
    attempt_host_clear(&trial.host);
    loop_clear(&trial.loop);
    return json_pack("{s:o, s:o}", "calls", trial.calls, "jobs", trial.jobs);
}
