/* What `migrate up` is going to do: steps in order, or the reason why it does nothing. Changes
 * nothing. */
#ifndef CLI_MIGRATION_PLAN_H
#define CLI_MIGRATION_PLAN_H

#include "cli/migration_list.h"

enum migration_action { MIGRATION_APPLY, MIGRATION_ADOPT };

struct migration_step {
    enum migration_action action;
    const struct migration *migration; /* of the list */
};

struct migration_plan {
    struct migration_step *steps; /* owned */
    size_t count;
    char hint[ERR_TEXT_BYTES]; /* when it could not be made: what to do */
};

/* The list must outlive the plan. mask: sets to consider, 1 << set. False: ERR_CONFIG for a
 * database that does not fit (an edited migration, a newer schema, domain tables that stand in
 * part), ERR_PERMANENT for something that is not installed; plan->hint says what to do, and there
 * is nothing to clear. */
bool migration_plan_make(struct migration_plan *plan, const struct migration_list *list,
                         struct session *session, unsigned mask, struct err *err);
void migration_plan_clear(struct migration_plan *plan);

const char *migration_action_name(enum migration_action action);

#endif
