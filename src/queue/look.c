#include "queue/look.h"

#include "base/buf.h"
#include "db/time_text.h"
#include "queue/reader.h"
#include "queue/row.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <stdio.h>

enum { LOOK_HELD_MAX = 16 /* fewer than LOOK_ROWS, so that what is new is among them */ };

bool look_will_do(const struct lane *lane)
{
    bool quiet = lane->armed ? !lane->settling : lane->poll_us >= READER_POLL_MAX_US;
    return quiet && !lane->crowded && !lane_wants_more(lane) && lane->later_us != INT64_MIN &&
           HASH_COUNT(lane->held) <= LOOK_HELD_MAX;
}

/* Asked for by nobody but the plan. */
static bool look_is_planned(const struct lane *lane, int64_t horizon_us)
{
    return lane->read_at_us == lane->idle_at_us && lane->later_us > horizon_us &&
           look_will_do(lane);
}

bool look_is_due(const struct lane *lane, int64_t now_us, int64_t horizon_us)
{
    return lane->read_at_us <= now_us && look_is_planned(lane, horizon_us);
}

/* While intervals grow they are all but kept: what commits late is to be found soon. Lanes that
 * were armed one after the other come together all the same. */
bool look_may_join(const struct lane *lane, int64_t now_us, int64_t horizon_us)
{
    int64_t interval_us = lane->armed ? lane->pass_every_us : lane->poll_us;
    bool grows = lane->armed && interval_us < READER_PASS_IDLE_US;
    return lane->read_at_us <= now_us + interval_us / (grows ? 8 : 2) &&
           look_is_planned(lane, horizon_us);
}

static void look_plan_pass(struct lane *const *lanes, size_t count, int64_t now_us)
{
    bool pass = false;
    for (size_t i = 0; i < count; i++)
        pass |= lanes[i]->armed || lanes[i]->pass_at_us <= now_us;
    for (size_t i = 0; i < count; i++)
        lanes[i]->pass = pass;
}

/* From the least of the lanes' cursors, or from the beginning. */
static int64_t look_from_us(struct lane *const *lanes, size_t count)
{
    int64_t from_us = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        if (lanes[i]->pass)
            return INT64_MIN;
        for (int class = 0; class < LANE_CLASSES; class ++)
            if (lanes[i]->classes[class].cursor_us < from_us)
                from_us = lanes[i]->classes[class].cursor_us;
    }
    return from_us;
}

/* The next look may be so far away, and what is due before must be known by then. */
static int64_t look_until_us(struct lane *const *lanes, size_t count, int64_t horizon_us)
{
    int64_t longest_us = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t next_us = reader_pass_next(lanes[i]);
        if (next_us < lanes[i]->pass_every_us)
            next_us = lanes[i]->pass_every_us; /* passes are dear there */
        if (next_us > longest_us)
            longest_us = next_us;
    }
    return horizon_us + longest_us;
}

void look_add(struct db_unit *unit, struct lane *const *lanes, size_t count, int64_t now_us,
              int64_t database_us)
{
    struct buf numbers;
    char from[DB_TIME_BYTES], horizon[DB_TIME_BYTES], until[DB_TIME_BYTES], rows[16];
    int64_t horizon_us = database_us + READER_HORIZON_US;
    look_plan_pass(lanes, count, now_us);
    buf_init(&numbers, 0);
    buf_array_open(&numbers);
    for (size_t i = 0; i < count; i++)
        buf_array_int(&numbers, lanes[i]->number);
    buf_array_close(&numbers);
    snprintf(rows, sizeof rows, "%d", LOOK_ROWS);
    const char *params[] = {buf_text(&numbers), db_time_text(from, look_from_us(lanes, count)),
                            db_time_text(horizon, horizon_us),
                            db_time_text(until, look_until_us(lanes, count, horizon_us)), rows};
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANES_LOOK], 5, params);
    buf_clear(&numbers);
}

static bool row_is_of(const struct lane *lane, const PGresult *rows, int row)
{
    return row < PQntuples(rows) && db_get_int(rows, row, ROW_LANE) == lane->number;
}

void look_take_rows(struct lane *lane, const PGresult *rows, int *row, struct look_found *found)
{
    int due[LANE_CLASSES] = {0};
    *found = (struct look_found){.later_us = INT64_MAX};
    for (; row_is_of(lane, rows, *row); ++*row) {
        if (db_get_int(rows, *row, ROW_LATER)) {
            int64_t run_at_us = db_get_time_us(rows, *row, ROW_RUN_AT);
            if (run_at_us < found->later_us)
                found->later_us = run_at_us;
            continue;
        }
        found->fresh |= row_look(lane, rows, *row);
        found->fresh |= ++due[db_get_int(rows, *row, ROW_PRIORITY)] >= LOOK_ROWS;
    }
}

void look_skip_rows(const struct lane *lane, const PGresult *rows, int *row)
{
    while (row_is_of(lane, rows, *row))
        ++*row;
}
