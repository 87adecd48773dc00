/* How many files, sockets and pipes the process may have open. */
#ifndef LOOP_DESCRIPTOR_H
#define LOOP_DESCRIPTOR_H

/* Raises the limit to the most that the system allows without privileges; returns it. */
long long descriptor_raise_limit(void);
/* The limit as it was before: what a program that is started should have. Negative: never raised.
 */
long long descriptor_first_limit(void);

#endif
