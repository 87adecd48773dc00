#include "queue/schedule_plan.h"

static const int64_t GRACE_US = SCHEDULE_GRACE_S * INT64_C(1000000);

static int64_t max_us(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t rule_next(const struct schedule_rule *rule, int64_t after_us)
{
    if (rule->starts_us != INT64_MIN)
        after_us = max_us(after_us, rule->starts_us - 1);
    int64_t next_us = cron_next(&rule->cron, rule->zone, after_us);
    return next_us < rule->ends_us ? next_us : CRON_NEVER;
}

/* The last fire time of [from_us, until_us); INT64_MIN: none. Looks back in growing steps, because
 * after a long time there may be very many. */
static int64_t rule_last(const struct schedule_rule *rule, int64_t from_us, int64_t until_us)
{
    for (int64_t back_us = GRACE_US;; back_us *= 2) {
        int64_t start_us = max_us(until_us - back_us, from_us);
        int64_t last_us = INT64_MIN;
        for (int64_t at_us = rule_next(rule, start_us - 1); at_us < until_us;
             at_us = rule_next(rule, at_us))
            last_us = at_us;
        if (last_us != INT64_MIN || start_us <= from_us)
            return last_us;
    }
}

static void plan_pass(struct schedule_plan *plan, int64_t until_us)
{
    plan->passes = true;
    plan->passed_us = until_us;
}

/* The first fire time that is not passed over, from seen_us on. */
static int64_t plan_first(struct schedule_plan *plan, const struct schedule_rule *rule,
                          int64_t seen_us, int64_t now_us)
{
    int64_t late_us = now_us - GRACE_US, from_us = late_us;
    if (seen_us >= late_us)
        return seen_us;
    if (rule->missed == SCHEDULE_ALL && rule->missed_max_us > GRACE_US)
        from_us = now_us - rule->missed_max_us;
    if (rule->missed == SCHEDULE_ONCE && rule->missed_max_us > GRACE_US &&
        rule_next(rule, late_us - 1) > now_us) {
        int64_t last_us = rule_last(rule, max_us(seen_us, now_us - rule->missed_max_us), late_us);
        if (last_us != INT64_MIN)
            from_us = last_us;
    }
    if (seen_us >= from_us)
        return seen_us;
    plan_pass(plan, from_us);
    return rule_next(rule, from_us - 1);
}

void schedule_plan_make(struct schedule_plan *plan, const struct schedule_rule *rule,
                        int64_t seen_us, int64_t now_us)
{
    plan->passes = false;
    plan->count = 0;
    if (seen_us == INT64_MIN) {
        plan->next_us = rule_next(rule, max_us(now_us, rule->last_us));
        return;
    }
    int64_t at_us = plan_first(plan, rule, seen_us, now_us);
    while (at_us <= now_us && plan->count < SCHEDULE_FIRES_MAX) {
        plan->fires_us[plan->count++] = at_us;
        at_us = rule_next(rule, at_us);
    }
    plan->next_us = at_us;
}
