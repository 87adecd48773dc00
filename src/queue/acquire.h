/* Acquiring lanes that nobody owns, and finding out which ones were lost. */
#ifndef QUEUE_ACQUIRE_H
#define QUEUE_ACQUIRE_H

struct runner;

void acquire_start(struct runner *runner);
void acquire_tell_ready(struct runner *runner); /* logs it, once */
/* After a lapse of the lease: lanes that another runner took meanwhile are let go; with the others
 * nothing has happened. */
void acquire_check_owned(struct runner *runner);
#endif
