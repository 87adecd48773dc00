/* The mail jobs: email.send gives due messages to the provider (send.h); email.event
 * applies what the provider tells of them (event.h); email.sweep looks, every few minutes, for
 * messages that have no job. What can be said of a mail without a database or a
 * network is in the pure files of this folder. */
#include "email_sql.h"
#include "event.h"
#include "send.h"

static struct email_settings email_settings;

/* ---- email.sweep ---- */

enum { SWEEP_EVERY_MS = 300000, SWEEP_AFTER_ERROR_MS = 60000 };

static const char sweep_rows[] = "10000", sweep_ahead_ms[] = "900000";

/* One job for ever: it goes to sleep, and never fails. */
static void sweep_run(struct errand_job *job)
{
    const char *params[] = {sweep_rows, sweep_ahead_ms}, *error = "";
    const struct errand_rows *rows;
    int64_t wait_ms = SWEEP_EVERY_MS;
    if (!errand_query(job, EMAIL_SQL_SWEEP, 2, params, &rows, &error)) {
        errand_log(job, ERRAND_WARN, "looking for messages without a job failed: %s", error);
        wait_ms = SWEEP_AFTER_ERROR_MS;
    }
    errand_snooze(job, errand_now_us(job) + wait_ms * 1000, "looked for messages without a job");
}

/* ---- email.send ---- */

static void email_send_run(struct errand_job *const *jobs, size_t count)
{
    send_run(&email_settings, jobs, count);
}

/* ---- The module ---- */

static bool email_start(struct errand_host *host)
{
    double per_second, burst;
    if (!email_settings_load(&email_settings, host))
        return false;
    send_rate(email_settings.rate, &per_second, &burst);
    errand_host_queue_rate(host, "email", per_second, burst);
    return true;
}

static void email_stop(void)
{
    email_settings_clear(&email_settings);
}

static const struct errand_kind email_kinds[] = {
    {.size = sizeof(struct errand_kind),
     .name = "email.send",
     .queue = "email",
     .queue_lanes = 1,
     .claim = ERRAND_CLAIM_FIRST,
     .max_attempts = 25,
     .timeout_ms = 120000,
     .batch_max = 100,
     .cancel_grace_ms = 5000, /* what it asked the provider for is written down */
     .run_batch = email_send_run},
    {.size = sizeof(struct errand_kind),
     .name = "email.event",
     .queue = "email_event",
     .queue_lanes = 1,
     .run = event_run},
    {.size = sizeof(struct errand_kind),
     .name = "email.sweep",
     .queue = "email",
     .queue_lanes = 1,
     .max_attempts = 1000,
     .takes_no_token = true,
     .run = sweep_run},
};

extern const struct errand_module email_module;
ERRAND_EXPORT const struct errand_module email_module = {
    .abi = ERRAND_ABI,
    .size = sizeof(struct errand_module),
    .name = "email",
    .version = "1",
    .kinds = email_kinds,
    .kind_count = sizeof email_kinds / sizeof *email_kinds,
    .settings = email_settings_table,
    .setting_count = EMAIL_SETTINGS_COUNT,
    .statements = email_sql,
    .statement_count = EMAIL_SQL_COUNT,
    .start = email_start,
    .stop = email_stop,
};
