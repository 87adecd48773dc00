/* Does one step of a plan: one transaction, under a lock that every `errand migrate up` takes,
 * after asking again whether somebody else has done it meanwhile. */
#ifndef CLI_MIGRATION_APPLY_H
#define CLI_MIGRATION_APPLY_H

#include "cli/migration_plan.h"

enum migration_outcome { MIGRATION_OUTCOME_DONE, MIGRATION_OUTCOME_ALREADY };

/* False: nothing of the step was applied, unless the code is ERR_UNKNOWN_OUTCOME (the connection
 * was lost at the commit). The session is then only good for closing. */
bool migration_apply(struct session *session, const struct migration_step *step,
                     enum migration_outcome *outcome, struct err *err);

#endif
