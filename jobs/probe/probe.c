/* The probe: kinds that do what their args say, to see that a runner works, how fast and how well.
 * Those that run programs, send requests or keep the runner busy do so where the setting trusted
 * allows it only: whoever may enqueue a job could have them do it.
 *     probe.run  {}                            does nothing
 *                {"sleep_ms": 500}             waits first
 *                {"outcome": "retry" | "fail" | "snooze" | "cancel" | "unknown", "text": "why",
 * "delay_ms": 100}
 *                {"times": 2}                  with an outcome: only in the first so many attempts
 *                {"effect": "with" | "before"} writes a row to public.probe_effect: with its
 * completion, or by itself before it does anything else
 *                {"kill": true}                kills the runner after the wait, where the setting
 * kills allows it
 *                {"label": "word"}             stands in the ledger
 *                {"error_class": "rate"}       with "retry"
 *                {"result": {}}                leaves it as its result
 *                {"progress": [1, 2]}          tells each before the wait, and waits as often
 *                {"log": ["a"]}                logs lines before the wait: log.c
 *     probe.claim                              the same, claimed before it starts
 *     probe.retry                              the same, with retry policies of its own
 *     probe.steps                              a job of several steps: steps.c
 *     probe.wait                               a job that waits for signals: waits.c
 *     probe.http {"url": "http://..."}         sends a request (see request.h)
 *     probe.stream {"url": "http://..."}       reads an answer as it comes: stream.c
 *     probe.none                               does nothing, whatever its args: what errand itself
 * costs
 *     probe.child {"argv": [...]}              runs a program, see child.h
 *     probe.enqueue {"new": {...}}             makes another job: enqueue.c
 *     probe.values {"texts": [...], ...}       parameters of every type: values.c
 *     probe.stubborn {"wait": "sleep"}         never ends by itself, see stubborn.h
 *     probe.thread {"ms": 500}                works on a thread, see heavy.h
 *     probe.misuse {"what": "twice"}          does what a handler must not, see misuse.h */
#include "child.h"
#include "enqueue.h"
#include "heavy.h"
#include "ledger.h"
#include "log.h"
#include "misuse.h"
#include "probe_sql.h"
#include "request.h"
#include "steps.h"
#include "stream.h"
#include "stubborn.h"
#include "values.h"
#include "waits.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_GRACE_MS = 5000 }; /* for the ledger's last line */

static bool probe_kills, probe_trusted;

static const char *args_text(const json_t *args, const char *name)
{
    const char *text = json_string_value(json_object_get(args, name));
    return text ? text : "";
}

/* ---- Ending ---- */

static const char *const probe_outcomes[] = {"done",   "retry",  "fail",
                                             "snooze", "cancel", "unknown"};

static const char *probe_outcome(const struct errand_job *job, const json_t *args)
{
    const json_t *times = json_object_get(args, "times");
    if (json_is_integer(times) && errand_attempt(job) > json_integer_value(times))
        return "done";
    for (size_t i = 0; i < sizeof probe_outcomes / sizeof *probe_outcomes; i++)
        if (strcmp(args_text(args, "outcome"), probe_outcomes[i]) == 0)
            return probe_outcomes[i];
    return "done";
}

static void probe_retry(struct errand_job *job, const json_t *args, int64_t delay_ms)
{
    errand_error_class(job, json_string_value(json_object_get(args, "error_class")));
    errand_retry(job, delay_ms, "%s", args_text(args, "text"));
}

static void probe_end(struct errand_job *job, const json_t *args, const char *outcome)
{
    const char *text = args_text(args, "text");
    const json_t *delay = json_object_get(args, "delay_ms");
    int64_t delay_ms = json_is_integer(delay) ? json_integer_value(delay) : -1;
    if (strcmp(outcome, "retry") == 0)
        probe_retry(job, args, delay_ms);
    else if (strcmp(outcome, "fail") == 0)
        errand_fail(job, "%s", text);
    else if (strcmp(outcome, "snooze") == 0)
        errand_snooze(job, errand_now_us(job) + (delay_ms > 0 ? delay_ms : 0) * 1000, "%s", text);
    else if (strcmp(outcome, "cancel") == 0)
        errand_cancelled(job, "%s", text);
    else if (strcmp(outcome, "unknown") == 0)
        errand_unknown(job, "%s", text);
    else
        errand_done(job);
}

static void probe_report(struct errand_job *job, const json_t *args, int sleep_ms)
{
    const json_t *steps = json_object_get(args, "progress"),
                 *result = json_object_get(args, "result");
    probe_log(job, args);
    for (size_t i = 0; i < json_array_size(steps) && !errand_is_cancelled(job); i++) {
        errand_progress(job, json_array_get(steps, i), NULL);
        if (sleep_ms > 0)
            errand_sleep(job, sleep_ms);
    }
    if (!json_is_array(steps) && sleep_ms > 0)
        errand_sleep(job, sleep_ms);
    if (result)
        errand_result(job, result, NULL);
}

/* ---- Effects ---- */

struct effect_params {
    char job[24], attempt[16], pid[16];
    const char *texts[3];
};

static const char *const *effect_params_fill(struct effect_params *params,
                                             const struct errand_job *job)
{
    snprintf(params->job, sizeof params->job, "%lld", (long long)errand_id(job));
    snprintf(params->attempt, sizeof params->attempt, "%d", errand_attempt(job));
    snprintf(params->pid, sizeof params->pid, "%ld", (long)getpid());
    params->texts[0] = params->job;
    params->texts[1] = params->attempt;
    params->texts[2] = params->pid;
    return params->texts;
}

static bool probe_effect_before(struct errand_job *job, const char **error)
{
    struct effect_params params;
    const struct errand_rows *rows;
    return errand_query(job, PROBE_SQL_EFFECT, 3, effect_params_fill(&params, job), &rows, error);
}

static void probe_effect_with(struct errand_job *job)
{
    struct effect_params params;
    errand_effect(job, PROBE_SQL_EFFECT, 3, effect_params_fill(&params, job));
}

/* ---- Running ---- */

/* Before the finish call: from then on the key may be another's. */
static void probe_tell_end(struct errand_job *job, const char *outcome)
{
    if (!ledger_end(job, outcome))
        errand_log(job, ERRAND_ERROR, "writing to the ledger failed");
}

static bool probe_kill(struct errand_job *job)
{
    if (probe_kills)
        raise(SIGKILL);
    probe_tell_end(job, "fail");
    errand_fail(job, "the setting kills of the probe does not allow it");
    return false;
}

static bool probe_begin(struct errand_job *job, const json_t *args)
{
    const char *error = "";
    if (strcmp(args_text(args, "effect"), "before") != 0 || probe_effect_before(job, &error))
        return true;
    probe_tell_end(job, "retry");
    errand_retry(job, -1, "%s", error);
    return false;
}

static void probe_act(struct errand_job *job, const json_t *args)
{
    const json_t *sleep_ms = json_object_get(args, "sleep_ms");
    if (!probe_begin(job, args))
        return;
    probe_report(job, args, (int)json_integer_value(sleep_ms));
    if (json_is_true(json_object_get(args, "kill")) && !probe_kill(job))
        return;
    const char *outcome = errand_is_cancelled(job) ? "asked" : probe_outcome(job, args);
    probe_tell_end(job, outcome);
    if (strcmp(outcome, "done") == 0 && strcmp(args_text(args, "effect"), "with") == 0)
        probe_effect_with(job);
    if (strcmp(outcome, "asked") == 0)
        errand_cancelled(job, "asked to end");
    else
        probe_end(job, args, outcome);
}

static void probe_run(struct errand_job *job)
{
    if (strcmp(errand_args_text(job), "{}") == 0 && !ledger_is_open())
        return;
    const json_t *args = errand_args(job);
    if (ledger_start(job, args_text(args, "label")))
        probe_act(job, args);
    else
        errand_retry(job, -1, "writing to the ledger failed");
}

/* ---- The module ---- */

static bool probe_start(struct errand_host *host)
{
    const char *kills = errand_host_setting(host, "kills");
    const char *trusted = errand_host_setting(host, "trusted");
    const char *path = errand_host_setting(host, "ledger");
    probe_kills = kills && strcmp(kills, "true") == 0;
    probe_trusted = trusted && strcmp(trusted, "true") == 0;
    if (!path || !*path || ledger_open(path))
        return true;
    errand_host_error(host, "the ledger cannot be written to");
    return false;
}

static void probe_none(struct errand_job *job)
{
    errand_done(job);
}

/* ---- What nobody but a test is to ask for ---- */

static void trusted_run(struct errand_job *job, void (*run)(struct errand_job *job))
{
    if (probe_trusted)
        run(job);
    else
        errand_fail(job, "the setting trusted of the probe does not allow it");
}

static void trusted_child(struct errand_job *job)
{
    trusted_run(job, probe_child);
}

static void trusted_http(struct errand_job *job)
{
    trusted_run(job, probe_http);
}

static void trusted_stream(struct errand_job *job)
{
    trusted_run(job, stream_run);
}

static void trusted_stubborn(struct errand_job *job)
{
    trusted_run(job, probe_stubborn);
}

static void trusted_misuse(struct errand_job *job)
{
    trusted_run(job, probe_misuse);
}

static void trusted_thread(struct errand_job *job)
{
    trusted_run(job, probe_thread);
}

/* ---- The kinds ---- */

static const int64_t few_ms[] = {300, 600}, one_ms[] = {400};

static const struct errand_retry probe_retries[] = {
    {.size = sizeof(struct errand_retry),
     .policy = ERRAND_RETRY_LIST,
     .delays_ms = few_ms,
     .delay_count = 2},
    {.size = sizeof(struct errand_retry),
     .error_class = "fixed",
     .policy = ERRAND_RETRY_FIXED,
     .delays_ms = one_ms,
     .delay_count = 1,
     .max_attempts = 2},
    {.size = sizeof(struct errand_retry), .error_class = "never", .policy = ERRAND_RETRY_NEVER},
};

static const struct errand_kind probe_kinds[] = {
    {.size = sizeof(struct errand_kind),
     .name = "probe.run",
     .cancel_grace_ms = PROBE_GRACE_MS,
     .run = probe_run},
    {.size = sizeof(struct errand_kind),
     .name = "probe.claim",
     .claim = ERRAND_CLAIM_FIRST,
     .cancel_grace_ms = PROBE_GRACE_MS,
     .run = probe_run},
    {.size = sizeof(struct errand_kind),
     .name = "probe.retry",
     .cancel_grace_ms = PROBE_GRACE_MS,
     .run = probe_run,
     .retries = probe_retries,
     .retry_count = sizeof probe_retries / sizeof *probe_retries},
    {.size = sizeof(struct errand_kind), .name = "probe.none", .run = probe_none},
    {.size = sizeof(struct errand_kind),
     .name = "probe.child",
     .timeout_ms = 10000,
     .run = trusted_child},
    {.size = sizeof(struct errand_kind), .name = "probe.steps", .run = steps_run},
    {.size = sizeof(struct errand_kind), .name = "probe.wait", .run = waits_run},
    {.size = sizeof(struct errand_kind), .name = "probe.signal", .run = signals_run},
    {.size = sizeof(struct errand_kind),
     .name = "probe.wait_first",
     .claim = ERRAND_CLAIM_FIRST,
     .run = waits_run},
    {.size = sizeof(struct errand_kind),
     .name = "probe.wait_batch",
     .batch_max = 10,
     .run_batch = waits_run_batch},
    {.size = sizeof(struct errand_kind), .name = "probe.http", .run = trusted_http},
    {.size = sizeof(struct errand_kind), .name = "probe.stream", .run = trusted_stream},
    {.size = sizeof(struct errand_kind), .name = "probe.enqueue", .run = probe_enqueue},
    {.size = sizeof(struct errand_kind), .name = "probe.values", .run = probe_values},
    {.size = sizeof(struct errand_kind), .name = "probe.stubborn", .run = trusted_stubborn},
    {.size = sizeof(struct errand_kind), .name = "probe.misuse", .run = trusted_misuse},
    {.size = sizeof(struct errand_kind), .name = "probe.thread", .run = trusted_thread},
    {.size = sizeof(struct errand_kind),
     .name = "probe.stubborn.late",
     .cancel_grace_ms = 500,
     .run = trusted_stubborn},
};

static const struct errand_setting probe_settings[] = {
    {"ledger", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "for tests: file to which the start and end of each run of a probe are appended"},
    {"kills", ERRAND_SETTING_BOOLEAN, "false", NULL, 0, 0,
     "for tests: a probe may kill the runner"},
    {"trusted", ERRAND_SETTING_BOOLEAN, "false", NULL, 0, 0,
     "for tests: jobs may have the probe run programs, send requests and keep the runner busy"},
};

extern const struct errand_module probe_module;
ERRAND_EXPORT const struct errand_module probe_module = {
    .abi = ERRAND_ABI,
    .size = sizeof(struct errand_module),
    .name = "probe",
    .version = "2",
    .kinds = probe_kinds,
    .kind_count = sizeof probe_kinds / sizeof *probe_kinds,
    .settings = probe_settings,
    .setting_count = sizeof probe_settings / sizeof *probe_settings,
    .statements = probe_sql,
    .statement_count = PROBE_SQL_COUNT,
    .start = probe_start,
    .stop = ledger_close,
};
