#include "queue/signal.h"

#include "queue/completing.h"
#include "queue/params.h"
#include "queue_sql.h"

void signal_add(struct errand_job *job, struct db_unit *unit, const char *name, int64_t timeout_ms)
{
    const struct entry *entry = job_entry(job);
    struct params params;
    params_init_own(&params, job);
    params_add_to(&params, unit, QUEUE_SQL_JOB_OWN, false);
    params_clear(&params);
    params = (struct params){.count = 0};
    params_add_int(&params, entry->lane->number);
    params_add_int(&params, entry->id);
    params_add_text(&params, name);
    if (timeout_ms >= 0)
        params_add_int(&params, timeout_ms);
    else
        params_add_text(&params, NULL);
    params_add_to(&params, unit, QUEUE_SQL_SIGNAL_READ, false);
    params_clear(&params);
}

void signal_add_waits(struct params *params, const struct entry *list)
{
    struct buf *buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next) {
        int64_t until_us = entry->job->outcome.wait_until_us;
        if (until_us == INT64_MAX)
            buf_array_text(buf, NULL);
        else
            buf_array_int(buf, until_us);
    }
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_text(buf, entry->job->outcome.text);
    params_close_array(params);
}

void signal_add_locks(struct db_unit *unit, const struct entry *list)
{
    struct params params = {.count = 0};
    params_add_int(&params, list->lane->number);
    struct buf *buf = params_open_array(&params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry->id);
    params_close_array(&params);
    params_add_to(&params, unit, QUEUE_SQL_JOBS_LOCK, false);
    params_clear(&params);
}
