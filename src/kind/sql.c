/* Kinds that are SQL. By default the statements commit with the job's completion, so they happen
 * once; with `transaction = own` they run in a transaction of their own, which may last, and the
 * last one's first row is the job's result. */
#include "kind/file.h"
#include "kind/row.h"
#include "kind/script.h"
#include "kind/type.h"

#include "base/log.h"
#include "kind_sql.h"
#include "module/job_lines.h"

#include <stdio.h>
#include <string.h>

enum {
    SQL_SLACK_MS = 100,   /* the attempt's own timeout comes first */
    SQL_ANSWER_MS = 5000, /* after which the server is given up */
    SQL_CANCEL_MS = 5000,
    SQL_END_MS = 60000, /* for an answer that comes in spite of it, which counts */
    SQL_NAME_BYTES = 64
};

static const struct errand_setting sql_settings[] = {
    {"transaction", ERRAND_SETTING_TEXT, "completion", NULL, 0, 0, "completion or own"},
};

static bool sql_is_own(const struct kind_file *file)
{
    return strcmp(kind_file_text(file, "transaction"), "own") == 0;
}

static bool sql_open(struct kind_file *file, struct err *err)
{
    struct script *script = arena_alloc(&file->arena, sizeof *script);
    if (!sql_is_own(file) && strcmp(kind_file_text(file, "transaction"), "completion") != 0)
        return err_set(err, ERR_CONFIG, "transaction is '%.40s'; allowed: completion or own",
                       kind_file_text(file, "transaction"));
    if (!script_parse(script, &file->arena, file->text, err))
        return err_prefix(err, "%s", file->name);
    file->script = script;
    /* What such a transaction did stays, whatever becomes of the job: a cancel must have seen it. */
    if (sql_is_own(file) && !kind_file_text(file, "claim"))
        file->errand.claim = ERRAND_CLAIM_FIRST;
    return true;
}

static const char *sql_param(struct errand_job *job, enum script_parameter which)
{
    switch (which) {
    case SCRIPT_ARGS:
        return errand_args_text(job);
    case SCRIPT_ID:
        return errand_int_text(job, errand_id(job));
    case SCRIPT_ATTEMPT:
        return errand_int_text(job, errand_attempt(job));
    default:
        return errand_trace_span(job);
    }
}

/* The values of a statement's $1, $2 ... */
static size_t sql_params(struct errand_job *job, const struct script_use *use,
                         const char *params[SCRIPT_PARAMETERS])
{
    for (size_t i = 0; i < use->count; i++)
        params[i] = sql_param(job, use->of[i]);
    return use->count;
}

/* ---- In the completion's transaction ---- */

static void sql_run_in_completion(struct errand_job *job, const struct script *script)
{
    const char *params[SCRIPT_PARAMETERS];
    for (size_t i = 0; i < script->count; i++) {
        size_t count = sql_params(job, &script->uses[i], params);
        job_add_effect(job, &script->statements[i], count, params);
    }
    errand_done(job);
}

/* ---- In a transaction of its own ---- */

/* Of this attempt alone, whoever else works on the database; PostgreSQL keeps 63 bytes. */
static const char *sql_name(const struct attempt *attempt, char name[SQL_NAME_BYTES])
{
    const struct errand_job *job = &attempt->jobs[0];
    snprintf(name, SQL_NAME_BYTES, "errand job %lld attempt %d %lld", (long long)job->id,
             job->number, (long long)attempt->started_us);
    return name;
}

static void on_cancelled(struct db_unit *unit, void *owner)
{
    (void)owner;
    if (unit->err.code != ERR_NONE)
        log_event(LOG_WARN, "ending a job's statement failed", "error", unit->err.text, NULL);
}

/* What still waits for a connection is not sent at all. */
static bool sql_withdraw(struct attempt *attempt)
{
    if (!db_pool_withdraw(attempt->host->sql, attempt->unit))
        return false;
    struct err *err = arena_alloc(&attempt->arena, sizeof *err);
    err_set(err, ERR_CANCELLED, "it was to end before a connection was free for it");
    attempt->err = err;
    attempt_wake(attempt);
    return true;
}

static void sql_call_off(struct attempt *attempt)
{
    char name[SQL_NAME_BYTES];
    if (sql_withdraw(attempt))
        return;
    const char *params[] = {sql_name(attempt, name)};
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_cancelled, NULL);
    db_unit_add(unit, &kind_sql[KIND_SQL_OWN_CANCEL], 1, params);
    db_pool_submit(attempt->host->db, unit, SQL_CANCEL_MS);
}

struct sql_answer {
    struct attempt *attempt;
    struct job_lines *notices;
    const char *result; /* JSON; NULL: there is no row */
};

static void on_notice(void *owner, bool is_warning, const char *text)
{
    const struct sql_answer *answer = owner;
    enum errand_level level = is_warning ? ERRAND_WARN : ERRAND_INFO;
    job_lines_take(answer->notices, level, text, strlen(text));
    job_lines_take(answer->notices, level, "\n", 1);
}

static void on_answered(struct db_unit *unit, void *owner)
{
    struct sql_answer *answer = owner;
    struct attempt *attempt = answer->attempt;
    struct err *err = NULL;
    if (unit->err.code == ERR_NONE) {
        answer->result = row_json(&attempt->arena, db_unit_result(unit, unit->count - 1));
    } else {
        err = arena_alloc(&attempt->arena, sizeof *err);
        *err = unit->err;
    }
    attempt->err = err;
    job_lines_end(answer->notices);
    attempt_wake(attempt);
}

static void sql_send(struct errand_job *job, const struct script *script, struct sql_answer *answer)
{
    struct attempt *attempt = job->attempt;
    const char *params[SCRIPT_PARAMETERS];
    char timeout[16], name[SQL_NAME_BYTES];
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_answered, answer);
    unit->on_notice = on_notice;
    snprintf(timeout, sizeof timeout, "%d", attempt->timeout_ms + SQL_SLACK_MS);
    const char *begin[] = {timeout, sql_name(attempt, name)};
    db_unit_add(unit, &kind_sql[KIND_SQL_OWN_BEGIN], 2, begin);
    for (size_t i = 0; i < script->count; i++) {
        size_t count = sql_params(job, &script->uses[i], params);
        db_unit_add(unit, &script->statements[i], count, params);
    }
    attempt->unit = unit;
    db_pool_submit(attempt->host->sql, unit, attempt->timeout_ms + SQL_ANSWER_MS);
}

static void sql_settle_failed(struct errand_job *job, const struct err *err)
{
    char class[DB_CLASS_BYTES];
    if (job->attempt->cancelled) {
        errand_cancelled(job, "%s", err->text);
        return;
    }
    errand_error_class(job, db_error_class(err, class));
    errand_retry(job, -1, "%s", err->text);
}

static void sql_run_by_itself(struct errand_job *job, const struct script *script)
{
    struct attempt *attempt = job->attempt;
    struct sql_answer answer = {.attempt = attempt, .notices = job_lines_new(job, "notices")};
    const char *error = "";
    sql_send(job, script, &answer);
    attempt->call_off = sql_call_off;
    attempt_sleep(attempt, WAIT_OTHER);
    if (attempt->err) {
        sql_settle_failed(job, attempt->err);
        return;
    }
    if (answer.result && !errand_result_text(job, answer.result, &error))
        errand_log(job, ERRAND_WARN, "the row is no result, the job has none: %s", error);
    errand_done(job);
}

static void sql_run(struct errand_job *job)
{
    const struct kind_file *file = kind_file_of(job);
    if (sql_is_own(file))
        sql_run_by_itself(job, file->script);
    else
        sql_run_in_completion(job, file->script);
}

const struct kind_type kind_type_sql = {
    .suffix = ".sql",
    .claim = ERRAND_CLAIM_LAZY,
    .reads_text = true,
    .settings = sql_settings,
    .setting_count = sizeof sql_settings / sizeof *sql_settings,
    .open = sql_open,
    .cancel_grace_ms = SQL_END_MS,
    .run = sql_run,
};
