#include "web/depths.h"

#include "base/clock.h"
#include "base/log.h"
#include "web_sql.h"

#include <stdio.h>

enum { STATEMENT_MS = 2000, LOCK_MS = 500, EVERY_US = 10000000 };

/* Columns of queue_depths; the states first. */
enum { DEPTH_OLDEST_DUE = DEPTH_STATES, DEPTH_PAUSED, DEPTH_MORE, DEPTH_QUEUE };

const char *depth_state_name(int state)
{
    static const char *const names[DEPTH_STATES] = {"ready", "scheduled", "waiting", "held"};
    return names[state];
}

void depths_init(struct depths *depths, struct loop *loop, const struct settings *settings,
                 void (*on_known)(void *owner), void *owner)
{
    const char *url = settings_text(settings, "errand", "database_url");
    const struct db_pool_options options = {
        .name = "errand metrics",
        .conninfo = url ? url : "",
        .schema = settings_text(settings, "errand", "schema"),
        .size = 1,
        .statement_ms = STATEMENT_MS,
        .lock_ms = LOCK_MS,
    };
    *depths = (struct depths){.on_known = on_known, .owner = owner};
    db_pool_init(&depths->pool, loop, &options);
}

void depths_clear(struct depths *depths)
{
    db_pool_clear(&depths->pool);
}

static void depth_read(struct depth *depth, const PGresult *rows, int row)
{
    for (int state = 0; state < DEPTH_STATES; state++)
        depth->jobs[state] = db_get_int(rows, row, state);
    depth->oldest_due_us = db_get_int(rows, row, DEPTH_OLDEST_DUE);
    depth->paused = db_get_int(rows, row, DEPTH_PAUSED) != 0;
    depth->more = db_get_int(rows, row, DEPTH_MORE) != 0;
    snprintf(depth->queue, sizeof depth->queue, "%s", PQgetvalue(rows, row, DEPTH_QUEUE));
}

static void depths_on_done(struct db_unit *unit, void *owner)
{
    struct depths *depths = owner;
    depths->under_way = false;
    depths->known = unit->err.code == ERR_NONE;
    depths->count = 0;
    if (depths->known) {
        const PGresult *rows = db_unit_result(unit, 0);
        for (int row = 0; row < PQntuples(rows) && depths->count < DEPTHS_QUEUES; row++)
            depth_read(&depths->queues[depths->count++], rows, row);
    } else if (unit->err.code != ERR_CANCELLED) {
        log_event(LOG_WARN, "metrics without queues, the database does not tell", "error",
                  unit->err.text, NULL);
    }
    depths->on_known(depths->owner);
}

bool depths_ask(struct depths *depths)
{
    int64_t now_us = clock_mono_us();
    if (depths->under_way)
        return false;
    if (depths->asked_us && now_us - depths->asked_us < EVERY_US)
        return true;
    depths->asked_us = now_us;
    depths->under_way = true;
    struct db_unit *unit = db_unit_new(DB_PLAIN, depths_on_done, depths);
    db_unit_add_binary(unit, &web_sql[WEB_SQL_QUEUE_DEPTHS], 0, NULL);
    db_pool_submit(&depths->pool, unit, STATEMENT_MS);
    return false;
}
