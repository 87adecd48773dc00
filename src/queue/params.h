/* The parameters of one statement on jobs of a lane: lane, epoch, then what is added. */
#ifndef QUEUE_PARAMS_H
#define QUEUE_PARAMS_H

#include "base/buf.h"
#include "db/unit.h"
#include "module/attempt.h"
#include "queue/lane.h"

enum { PARAMS_MAX = 16 };

struct params {
    const char *texts[PARAMS_MAX];
    int lengths[PARAMS_MAX]; /* 0: a text; else in PostgreSQL's binary form */
    size_t count;
    struct buf bufs[PARAMS_MAX];
};

void params_init(struct params *params, const struct lane *lane);
/* lane, epoch, runner, id, attempt, revision: what a statement names that changes something only
 * for an attempt whose job is its own yet. */
void params_init_own(struct params *params, const struct errand_job *job);
void params_clear(struct params *params);
void params_add_text(struct params *params, const char *text); /* borrowed */
void params_add_int(struct params *params, long long value);
/* Four arrays: ids, attempts, revisions, start times in us. */
void params_add_entries(struct params *params, const struct entry *list);
/* Two arrays: ids, start times as timestamptz. */
void params_add_first(struct params *params, const struct entry *list);
/* For arrays that a caller fills itself: open, buf_array_int/text ..., params_close_array. */
struct buf *params_open_array(struct params *params);
void params_close_array(struct params *params);
/* The statement, with these parameters, to the unit. */
void params_add_to(const struct params *params, struct db_unit *unit, int statement,
                   bool binary_result);

#endif
