/* Jobs that have a time after which no attempt starts: those that wait end as cancelled when it
 * comes, even while their queue is paused or the runner is full. */
#ifndef QUEUE_EXPIRY_H
#define QUEUE_EXPIRY_H

#include "queue/entry.h"

struct workqueue;

bool expiry_is_over(const struct entry *entry);
/* A waiting entry comes or goes. */
void expiry_add(struct workqueue *queue, struct entry *entry);
void expiry_remove(struct workqueue *queue, struct entry *entry);
/* Ends what has expired; returns when to look again (monotonic; INT64_MAX: nothing expires). */
int64_t expiry_run(struct workqueue *queue);
bool expiry_is_before(const struct heap_item *a, const struct heap_item *b);

#endif
