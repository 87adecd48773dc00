/* Letting go of a lane in order: nothing more is started from it, what runs is written down, then
 * the lane is released. The jobs that run stay ours until they end; the next owner leaves them
 * alone while this runner lives. */
#ifndef QUEUE_HANDOVER_H
#define QUEUE_HANDOVER_H

#include <stdint.h>

struct db_unit;
struct lane;
struct runner;
struct workqueue;

/* A lane of a whole queue takes the queue's others with it. */
void handover_start(struct lane *lane);
void handover_start_all(struct runner *runner);
/* Lanes of a queue that is whole (now) belong to who has its first one. */
void handover_check_whole(struct workqueue *queue);
/* The statement that lets go of the lane, with what is left of the queue's rate. */
void handover_add_release(const struct lane *lane, struct db_unit *unit);
/* Cancels a job that runs on in a lane that was handed over. */
void handover_cancel(struct runner *runner, int number, int64_t id);
/* Asks which of those are to be cancelled: nobody here reads their lanes any more, and a
 * notification may be lost, or impossible. */
void handover_ask_cancelled(struct runner *runner);
/* Something ended or was written down: releases the lanes that are ready. */
void handover_check(struct runner *runner);

#endif
