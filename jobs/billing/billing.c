/* Billing: what Lemon Squeezy's events say becomes the state of workspaces.
 *     billing.event {"source": "...", "event_id": "..."}  applies an event of errand.webhook_event
 *     billing.sweep {}                                    ends access whose time is over
 *     billing.reconcile {["workspace_id": "..."]}         asks the provider for what was missed
 *
 * The rules stand in the database (errand.billing_apply), which does it all in one transaction: a
 * runner that dies in between does it again, and that changes nothing. */
#include "api.h"
#include "billing_sql.h"
#include "reconcile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEP_EVERY_MS = 300000, SWEEP_AFTER_ERROR_MS = 60000 };

static char billing_policy[256]; /* the settings, as the database's functions take them */

/* ---- billing.event ---- */

static void event_run(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    const char *params[] = {json_string_value(json_object_get(args, "source")),
                            json_string_value(json_object_get(args, "event_id")), billing_policy};
    const struct errand_rows *rows;
    const char *error;
    if (!params[0] || !params[1]) {
        errand_fail(job, "args need source and event_id, which name a row of errand.webhook_event");
        return;
    }
    if (!errand_query(job, BILLING_SQL_APPLY, 3, params, &rows, &error)) {
        if (errand_query_class(job) == ERRAND_SQL_PERMANENT)
            errand_fail(job, "%s", error);
        else
            errand_retry(job, -1, "%s", error);
        return;
    }
    errand_failpoint(job, "after_apply");
    const char *status = errand_rows_text(rows, 0, 0), *effect = errand_rows_text(rows, 0, 1);
    if (strcmp(status, "failed") == 0) {
        errand_fail(job, "%s", effect);
        return;
    }
    json_t *result = json_pack("{s:s, s:s}", "status", status, "effect", effect);
    errand_result(job, result, NULL);
    json_decref(result);
    errand_done(job);
}

/* ---- billing.sweep ---- */

/* One job for ever: it goes to sleep, and never fails. */
static void sweep_run(struct errand_job *job)
{
    const char *params[] = {billing_policy}, *error = "";
    const struct errand_rows *rows;
    int64_t wait_ms = SWEEP_EVERY_MS;
    if (!errand_query(job, BILLING_SQL_SWEEP, 1, params, &rows, &error)) {
        errand_log(job, ERRAND_WARN, "ending access whose time is over failed: %s", error);
        wait_ms = SWEEP_AFTER_ERROR_MS;
    } else if (atoll(errand_rows_text(rows, 0, 0)) > 0) {
        errand_log(job, ERRAND_INFO, "access of %s workspaces has ended",
                   errand_rows_text(rows, 0, 0));
    }
    errand_snooze(job, errand_now_us(job) + wait_ms * 1000, "looked for access whose time is over");
}

/* ---- billing.reconcile ---- */

static void compare_run(struct errand_job *job)
{
    reconcile_run(job, billing_policy);
}

/* ---- The module ---- */

static const struct errand_setting billing_settings[] = {
    {"paused_keeps_access", ERRAND_SETTING_BOOLEAN, "false", NULL, 0, 0,
     "whether a workspace stays pro while its subscription is paused"},
    {"test_mode", ERRAND_SETTING_BOOLEAN, "false", NULL, 0, 0,
     "whether events of Lemon Squeezy's test mode change workspaces"},
    {"grace_ms", ERRAND_SETTING_INTEGER, "86400000", NULL, 0, 31536000000,
     "how long after subscription_expires_at access ends, milliseconds"},
    {"past_due_ms", ERRAND_SETTING_INTEGER, "2592000000", NULL, 0, 31536000000,
     "the same while the provider still tries to collect a payment, milliseconds"},
    {"keep_days", ERRAND_SETTING_INTEGER, "35", NULL, 1, 3650,
     "how long billing remembers which events it has read, days"},
    {"api_key", ERRAND_SETTING_SECRET, NULL, "LEMONSQUEEZY_API_KEY", 0, 0,
     "Lemon Squeezy's API key; without one nothing is compared with its API"},
    {"api_url", ERRAND_SETTING_TEXT, "https://api.lemonsqueezy.com", NULL, 0, 0,
     "base URL of its API"},
    {"store_id", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "the one store whose subscriptions are compared; unset: all that the key opens"},
    {"requests_per_minute", ERRAND_SETTING_INTEGER, "240", NULL, 1, 299,
     "requests to its API a minute, which allows 300"},
};

static bool billing_start(struct errand_host *host)
{
    snprintf(billing_policy, sizeof billing_policy,
             "{\"paused\":\"%s\",\"test_mode\":\"%s\",\"grace_ms\":%s,\"past_due_ms\":%s,\"keep_"
             "days\":%s}",
             errand_host_setting(host, "paused_keeps_access"),
             errand_host_setting(host, "test_mode"), errand_host_setting(host, "grace_ms"),
             errand_host_setting(host, "past_due_ms"), errand_host_setting(host, "keep_days"));
    errand_host_queue_rate(host, "billing.reconcile",
                           atof(errand_host_setting(host, "requests_per_minute")) / 60, 1);
    return api_start(host);
}

static const struct errand_kind billing_kinds[] = {
    {.size = sizeof(struct errand_kind),
     .name = "billing.event",
     .queue = "billing",
     .queue_lanes = 1,
     .run = event_run},
    {.size = sizeof(struct errand_kind),
     .name = "billing.sweep",
     .queue = "billing",
     .queue_lanes = 1,
     .max_attempts = 1000,
     .run = sweep_run},
    {.size = sizeof(struct errand_kind),
     .name = "billing.reconcile",
     .queue = "billing.reconcile",
     .queue_lanes = 1,
     .timeout_ms = 120000,
     .run = compare_run},
};

extern const struct errand_module billing_module;
ERRAND_EXPORT const struct errand_module billing_module = {
    .abi = ERRAND_ABI,
    .size = sizeof(struct errand_module),
    .name = "billing",
    .version = "1",
    .kinds = billing_kinds,
    .kind_count = sizeof billing_kinds / sizeof *billing_kinds,
    .settings = billing_settings,
    .setting_count = sizeof billing_settings / sizeof *billing_settings,
    .statements = billing_sql,
    .statement_count = BILLING_SQL_COUNT,
    .start = billing_start,
    .stop = api_stop,
};
