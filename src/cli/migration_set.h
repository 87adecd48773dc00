/* The sets of migrations, in the order in which they are applied, and what each needs. A set is a
 * folder of migrations/. */
#ifndef CLI_MIGRATION_SET_H
#define CLI_MIGRATION_SET_H

#include "base/err.h"

enum migration_set {
    MIGRATION_SET_QUEUE,   /* errand's own schema: no extension, no table of the product */
    MIGRATION_SET_AUTH,    /* auth.users and roles, where Supabase made none */
    MIGRATION_SET_DOMAIN,  /* 001-011; needs pgvector and auth.users */
    MIGRATION_SET_EMAIL,   /* errand's sources on the domain tables; needs queue and domain */
    MIGRATION_SET_BILLING, /* workspaces from events of billing; needs queue and domain */
    MIGRATION_SET_COUNT
};

enum { MIGRATION_SET_ALL = (1 << MIGRATION_SET_COUNT) - 1 };

const char *migration_set_name(enum migration_set set);
enum migration_set migration_set_find(const char *name); /* MIGRATION_SET_COUNT: there is none */

/* "queue,auth" as a mask of 1 << set. */
bool migration_set_parse(const char *list, unsigned *mask, struct err *err);

#endif
