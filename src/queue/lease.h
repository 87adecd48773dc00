/* The lease: this runner's proof of life. It is renewed every fifth of its time to live on the
 * database's clock; on this side it is counted on the monotonic clock from before the renewal was
 * sent, so that the runner stops before others may begin. */
#ifndef QUEUE_LEASE_H
#define QUEUE_LEASE_H

#include <stdbool.h>

struct runner;

void lease_init(struct runner *runner, long long ttl_ms);
void lease_register(struct runner *runner); /* on the control connection: runner's row, kinds,
                                               lanes, then RUNNING */
void lease_on_reconnect(struct runner *runner);
void lease_beat(struct runner *runner);
bool lease_holds(const struct runner *runner);
/* Settings of a queue or a kind have changed: nothing starts until they are read. */
void lease_on_settings(struct runner *runner);
/* A part of them has been read. */
void lease_settings_read(struct runner *runner);
/* The control connection is lost: with its backend gone, others may take the lanes, whatever the
 * lease says. Nothing starts until it is known which are still ours. */
void lease_doubt(struct runner *runner);
void lease_tell_stopping(struct runner *runner);
void lease_leave(struct runner *runner); /* gives lanes and row back; then the loop stops */

#endif
