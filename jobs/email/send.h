/* Kind email.send: one run over the mails that are due together.
 *
 *   load --> not wanted, or outcome known: finished
 *        --> in an open request: that request again, whole
 *        --> the others: built, packed into requests, stored, sent
 *
 * The first request goes out on the start's own token of the queue's rate; each further one waits
 * for another. */
#ifndef EMAIL_SEND_H
#define EMAIL_SEND_H

#include "settings.h"

#include <errand/errand.h>

/* The rate that a limit of so many requests in each second allows, whenever its seconds begin. */
void send_rate(double limit, double *per_second, double *burst);

void send_run(const struct email_settings *settings, struct errand_job *const *jobs, size_t count);

#endif
