/* billing.reconcile: compares what the provider says of subscriptions with what is known of them.
 */
#ifndef BILLING_RECONCILE_H
#define BILLING_RECONCILE_H

#include <errand/errand.h>

/* policy: as of errand.billing_workspace_set. */
void reconcile_run(struct errand_job *job, const char *policy);

#endif
