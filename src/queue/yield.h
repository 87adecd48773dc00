/* Yielding: a lane that holds due jobs of a kind that is not known here goes to a runner that knows
 * it (which may be newer, or have other plug-ins), and comes back in the same way when that one
 * finds jobs that it does not know. */
#ifndef QUEUE_YIELD_H
#define QUEUE_YIELD_H

struct lane;

/* A due job of that kind, which is not known here, was read. */
void yield_note(struct lane *lane, const char *kind);
/* After a read: looks for a runner that knows what was noted, unless the lane came just now. */
void yield_check(struct lane *lane);

#endif
