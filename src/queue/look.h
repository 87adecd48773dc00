/* One statement for the looks at all lanes that are idle: those in which nothing happens, so that
 * nothing is expected but what was committed late or without a notification that came. A lane of
 * which more is known to be due, that was told of something, or that holds much is read by itself
 * (reader.h), and so is one in which a look has found something new. */
#ifndef QUEUE_LOOK_H
#define QUEUE_LOOK_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db_unit;
struct lane;

enum { LOOK_ROWS = 32 /* a lane and class at most */ };

/* Behind a read, when the next one is planned: whether a look will do for it. */
bool look_will_do(const struct lane *lane);

/* Nothing but a look is due in the lane by now_us; or it will be soon, and the lane may come along
 * with others. What is known to be due by horizon_us (database's clock) is not for a look. */
bool look_is_due(const struct lane *lane, int64_t now_us, int64_t horizon_us);
bool look_may_join(const struct lane *lane, int64_t now_us, int64_t horizon_us);

/* Adds the look at the lanes, and decides for all of them together whether it is a full pass. */
void look_add(struct db_unit *unit, struct lane *const *lanes, size_t count, int64_t now_us,
              int64_t database_us);

struct look_found {
    bool fresh;       /* something that a read of the lane has to bring */
    int64_t later_us; /* the first behind the horizon; INT64_MAX: none until the next look */
};

/* The lane's rows of the look, from *row on; sets *row behind them. */
void look_take_rows(struct lane *lane, const PGresult *rows, int *row, struct look_found *found);
void look_skip_rows(const struct lane *lane, const PGresult *rows, int *row);

#endif
