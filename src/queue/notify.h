/* What a runner is told on its channel: "lane L US" look at a lane from a time on, "queue" settings
 * changed, "wanted" a lane of ours, "free" a lane is, "cancel L ID", "changed L ID", "ended L ID"
 * (elsewhere). */
#ifndef QUEUE_NOTIFY_H
#define QUEUE_NOTIFY_H

void notify_on_message(const char *channel, const char *payload, void *owner);

#endif
