/* How many connections each address has. */
#ifndef HTTPD_CROWD_H
#define HTTPD_CROWD_H

#include "httpd/origin.h"

struct crowd_member;

struct crowd {
    struct crowd_member *members; /* by address */
};

/* One more; returns how many there are now, itself included, and who counts it. */
size_t crowd_join(struct crowd *crowd, const struct origin *address, struct crowd_member **member);
void crowd_leave(struct crowd *crowd, struct crowd_member *member); /* NULL is nobody */

#endif
