#include "queue/settle.h"

#include "db/time_text.h"
#include "queue/retry.h"
#include "queue/runner_state.h"

static struct retry_lines operators_lines(const struct runner *runner, const struct kind *kind)
{
    const struct kind_setting *setting = kind_settings_of(&runner->kind_settings, kind);
    return (struct retry_lines){setting->retries, setting->retry_count};
}

static struct retry_lines kind_lines(const struct kind *kind)
{
    return (struct retry_lines){kind->errand->retries, kind->errand->retry_count};
}

static const struct errand_retry *line_for(const struct runner *runner, const struct kind *kind,
                                           const char *error_class)
{
    return retry_line_for(operators_lines(runner, kind), kind_lines(kind), error_class);
}

const char *settle_expired_text(struct arena *arena, const struct entry *entry)
{
    char at[DB_TIME_BYTES];
    return arena_printf(arena, "expired at %s", db_time_text(at, entry->expires_us));
}

/* The next start would come too late. */
static void outcome_expire(struct outcome *outcome, struct arena *arena, const struct entry *entry)
{
    const char *expired = settle_expired_text(arena, entry), *before = outcome->text;
    bool failed = outcome->code == OUTCOME_RETRY;
    outcome->code = OUTCOME_CANCELLED;
    outcome->text = before && *before ? arena_printf(arena, "%s (%s%s)", expired,
                                                     failed ? "last error: " : "", before)
                                      : expired;
}

/* Nobody called the job off: its time was up, or the runner stops or is not sure of its lane, and
 * it ended because it was asked to. */
static void outcome_of_asked(const struct errand_job *job, struct outcome *outcome)
{
    const struct entry *entry = job->owner;
    if (job->attempt->timed_out) {
        outcome->code = OUTCOME_RETRY;
        outcome->delay_ms = -1;
        outcome->text = "timed out";
        outcome->error_class = NULL;
        return;
    }
    outcome->code = OUTCOME_SNOOZE;
    outcome->run_at_us = entry->run_at_us;
    outcome->text = NULL;
}

/* It is looked at when it expires, at the latest; what it would have left, the attempt that goes on
 * leaves. */
static void outcome_wait(struct outcome *outcome, const struct entry *entry)
{
    outcome->run_at_us =
        outcome->wait_until_us < entry->expires_us ? outcome->wait_until_us : entry->expires_us;
    outcome->effects = NULL;
    outcome->result = NULL;
    outcome->result_bytes = 0;
}

void settle_outcome(struct runner *runner, struct errand_job *job)
{
    struct outcome *outcome = &job->outcome;
    const struct entry *entry = job->owner;
    /* It was cut off, and would have gone on. */
    bool cut = outcome->code == OUTCOME_RETRY && job->attempt->cut && !job->cancelled;
    if (cut || (outcome->code == OUTCOME_CANCELLED && job->attempt->cancelled && !job->cancelled))
        outcome_of_asked(job, outcome);
    if (outcome->code == OUTCOME_RETRY) {
        if (!outcome->error_class && job->attempt->timed_out)
            outcome->error_class = "timeout";
        const struct errand_retry *line = line_for(runner, entry->kind, outcome->error_class);
        if (retry_is_over(line, job->number, job->max_attempts)) {
            outcome->code = OUTCOME_DEAD;
            return;
        }
        int64_t delay_ms =
            outcome->delay_ms >= 0 ? outcome->delay_ms : retry_delay_ms(line, job->number);
        outcome->run_at_us = clock_database_us(&runner->clock) + delay_ms * 1000;
    }
    if (outcome->code == OUTCOME_WAIT)
        outcome_wait(outcome, entry);
    bool again = outcome->code == OUTCOME_RETRY || outcome->code == OUTCOME_SNOOZE;
    if (again && outcome->run_at_us >= entry->expires_us)
        outcome_expire(outcome, &job->attempt->arena, entry);
}

bool settle_lost(struct runner *runner, const struct entry *entry, struct outcome *outcome)
{
    const struct errand_retry *line = line_for(runner, entry->kind, "lost");
    bool over = retry_is_over(line, entry->attempt, entry->max_attempts);
    if (!over &&
        !retry_line_of(operators_lines(runner, entry->kind), kind_lines(entry->kind), "lost"))
        return false;
    outcome->code = over ? OUTCOME_DEAD : OUTCOME_RETRY;
    outcome->delay_ms = -1;
    outcome->error_class = "lost";
    outcome->text =
        over ? "the runner ended during the last attempt" : "the runner ended during the attempt";
    return true;
}
