/* A row of a job that was read, in the form of lane_read (enum lane_read_column): what it says of a
 * job that is held, or is to be. */
#ifndef QUEUE_ROW_H
#define QUEUE_ROW_H

#include <libpq-fe.h>
#include <stdbool.h>

struct lane;

/* Holds the row's job, unless it is held already as it is, runs elsewhere, or is not ours to run.
 * True: it is new. */
bool row_take(struct lane *lane, const PGresult *rows, int row);

/* The same for a row that came without its args, so the job cannot be held. True: with them it
 * would be. */
bool row_look(struct lane *lane, const PGresult *rows, int row);

#endif
