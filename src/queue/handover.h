/* Letting go of a lane in order: nothing more is started from it, what runs is written down, then
 * the lane is released. The jobs that run stay ours until they end; the next owner leaves them
 * alone while this runner lives. */
#ifndef QUEUE_HANDOVER_H
#define QUEUE_HANDOVER_H

struct lane;
struct runner;

void handover_start(struct lane *lane);
/* Something ended or was written down: releases the lanes that are ready. */
void handover_check(struct runner *runner);

#endif
