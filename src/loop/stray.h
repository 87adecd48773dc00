/* Processes that have left their program's group (by setsid), and so do not end with it. This
 * process adopts them when their parents are gone (it is a subreaper), and knows whose they are by
 * a mark in the environment that every program is started with. One that has left its group and
 * dropped its mark is ended when no program runs any more. */
#ifndef LOOP_STRAY_H
#define LOOP_STRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { STRAY_MARK_BYTES = 64 };

/* "ERRAND_CHILD=...", of program number so-and-so of this process; 0: what all of them begin with.
 */
void stray_mark(char mark[STRAY_MARK_BYTES], unsigned long long number);

void stray_adopt(void); /* from now on: those of this process, by whatever program */

/* What the caller knows of an adopted process. */
enum stray_fate {
    STRAY_KNOWN, /* it is none: a program itself, or the warden */
    STRAY_LIVES, /* its program still runs */
    STRAY_ENDS
};

/* Looks at all that were adopted: ends those that are to end, and takes leave of those that have.
 * mark is "" when it has none. Returns how many are yet to go. */
size_t stray_look(enum stray_fate (*fate)(void *owner, pid_t pid, const char *mark), void *owner);

/* For the warden, when the process that adopted is gone: ends all that bear a mark which begins
 * so. Takes no lock. */
void stray_end_all(const char *mark);

#endif
