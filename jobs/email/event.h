/* email.event {"source": "...", "event_id": "..."}: applies an event of errand.webhook_event to the
 * log of the mail that it is about. The rules stand in the database (errand.email_event_apply),
 * which does it all in one transaction: a runner that dies in between does it again, and that
 * changes nothing. */
#ifndef EMAIL_EVENT_H
#define EMAIL_EVENT_H

#include <errand/errand.h>

void event_run(struct errand_job *job);

#endif
