#include "queue/blocked.h"

#include "base/log.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

enum {
    BLOCKED_TIMEOUT_MS = 10000,
    BLOCKED_PAUSE_US = 50000, /* doubles while nothing gets free */
    BLOCKED_PAUSE_MAX_US = 1000000
};

static void blocked_look(void *owner);

void blocked_init(struct runner *runner)
{
    loop_timer_init(&runner->blocked.timer, &runner->loop, blocked_look, runner);
}

void blocked_add(struct runner *runner, struct errand_job *jobs)
{
    struct blocked *blocked = &runner->blocked;
    struct errand_job *last = jobs;
    while (last->next)
        last = last->next;
    last->next = blocked->first;
    blocked->first = jobs;
    blocked->pause_us = BLOCKED_PAUSE_US;
    loop_timer_set(&blocked->timer, clock_mono_us());
}

static struct entry *job_entry(const struct errand_job *job)
{
    return job->owner;
}

/* A look: the jobs, and the lanes with their statements, in the order of both. */
struct looking {
    struct runner *runner;
    struct errand_job *jobs;
    size_t count;
    struct lane *lanes[];
};

static bool rows_have_id(const PGresult *rows, int64_t id)
{
    int low = 0, high = PQntuples(rows); /* in the order of the ids */
    while (low < high) {
        int middle = low + (high - low) / 2;
        int64_t found = db_get_int(rows, middle, 0);
        if (found == id)
            return true;
        if (found < id)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool looking_is_locked(const struct looking *looking, const struct db_unit *unit,
                              const struct errand_job *job)
{
    for (size_t i = 0; i < looking->count; i++)
        if (looking->lanes[i] == job_entry(job)->lane)
            return rows_have_id(db_unit_result(unit, i), job->id);
    return false;
}

static void blocked_keep(struct blocked *blocked, struct errand_job *job)
{
    job->next = blocked->first;
    blocked->first = job;
}

static void blocked_on_looked(struct db_unit *unit, void *owner)
{
    struct looking *looking = owner;
    struct runner *runner = looking->runner;
    struct blocked *blocked = &runner->blocked;
    size_t locked = 0, free = 0;
    blocked->under_way = false;
    for (struct errand_job *job = looking->jobs; job;) {
        struct errand_job *next = job->next;
        bool keep = unit->err.code != ERR_NONE || looking_is_locked(looking, unit, job);
        if (keep)
            blocked_keep(blocked, job);
        else
            completion_add_again(runner, job);
        locked += keep;
        free += !keep;
        job = next;
    }
    blocked->pause_us = free ? BLOCKED_PAUSE_US : 2 * blocked->pause_us;
    if (blocked->pause_us > BLOCKED_PAUSE_MAX_US)
        blocked->pause_us = BLOCKED_PAUSE_MAX_US;
    if (blocked->first)
        loop_timer_set(&blocked->timer, clock_mono_us() + blocked->pause_us);
    if (free && locked && unit->err.code == ERR_NONE)
        log_event(LOG_WARN, "jobs that ended are locked by somebody else, trying again", "jobs",
                  log_int((long long)locked), NULL);
}

static void looking_add_lane(struct looking *looking, struct db_unit *unit, struct lane *lane)
{
    struct entry *list = lane_list_take(lane);
    struct params params;
    if (!list)
        return;
    params_init(&params, lane);
    struct buf *ids = params_open_array(&params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(ids, entry->id);
    params_close_array(&params);
    params_add_to(&params, unit, QUEUE_SQL_JOBS_LOCKED, true);
    params_clear(&params);
    looking->lanes[looking->count++] = lane;
}

static void blocked_look(void *owner)
{
    struct runner *runner = owner;
    struct blocked *blocked = &runner->blocked;
    if (blocked->under_way || !blocked->first)
        return;
    struct db_unit *unit = db_unit_new(DB_PLAIN, blocked_on_looked, NULL);
    struct looking *looking =
        arena_zalloc(&unit->arena, sizeof *looking + runner->lane_count * sizeof looking->lanes[0]);
    looking->runner = runner;
    looking->jobs = blocked->first;
    blocked->first = NULL;
    unit->owner = looking;
    for (struct errand_job *job = looking->jobs; job; job = job->next)
        lane_list(job_entry(job)->lane, job_entry(job));
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        looking_add_lane(looking, unit, lane);
    blocked->under_way = true;
    db_pool_submit(&runner->writes, unit, BLOCKED_TIMEOUT_MS);
}
