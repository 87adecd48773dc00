/* How many files, sockets and pipes the process may have open. */
#ifndef LOOP_DESCRIPTOR_H
#define LOOP_DESCRIPTOR_H

/* Raises the limit to the most that the system allows without privileges; returns it. */
long long descriptor_raise_limit(void);

#endif
