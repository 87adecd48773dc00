/* What this runner serves: the kinds of its registry, as its row in the database, the defaults of
 * kinds there, its queues and its lanes know them. Kinds may come, change and go while it runs. */
#ifndef QUEUE_SERVED_H
#define QUEUE_SERVED_H

#include "db/unit.h"

struct runner;

void served_init(struct runner *runner); /* the registry's kinds are there */
void served_clear(struct runner *runner);
/* While registering: adds what the database is told of them. */
void served_add(struct runner *runner, struct db_unit *unit);
/* The registry has changed. What waits is read anew, with the newest versions; nothing starts until
 * the database has been told and what operators set for the new ones is known. */
void served_change(struct runner *runner);
/* Tells the database when that is still to be done. */
void served_tell(struct runner *runner);
bool served_is_told(const struct runner *runner);

#endif
