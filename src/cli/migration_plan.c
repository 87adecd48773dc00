#include "cli/migration_plan.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cli_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIGRATION_DOMAIN_TABLES = 12, MIGRATION_DOMAIN_ADOPTED = 11 };

const char *migration_action_name(enum migration_action action)
{
    return action == MIGRATION_ADOPT ? "adopt" : "apply";
}

/* ---- Reasons to refuse ---- */

static bool plan_check_list(struct migration_plan *plan, const struct migration_list *list,
                            struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct migration *item = &list->items[i];
        if (item->state == MIGRATION_CHANGED) {
            snprintf(plan->hint, sizeof plan->hint,
                     "An applied migration is never edited: put the file back, and write a new one "
                     "for the change.");
            return err_set(err, ERR_CONFIG, "%s/%s was changed after it was applied on %s",
                           item->set_name, item->name, item->applied_at);
        }
        if (item->state == MIGRATION_NEWER) {
            snprintf(plan->hint, sizeof plan->hint,
                     "Install the errand that belongs to this schema.");
            return err_set(err, ERR_CONFIG, "the schema is newer than this errand: it has %s/%s",
                           item->set_name, item->name);
        }
    }
    return true;
}

static bool plan_has(const struct migration_plan *plan, enum migration_set set)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].migration->set == set)
            return true;
    return false;
}

static bool plan_applies(const struct migration_plan *plan, enum migration_set set)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].migration->set == set && plan->steps[i].action == MIGRATION_APPLY)
            return true;
    return false;
}

static bool plan_check_vector(struct migration_plan *plan, const struct migration_list *list,
                              struct err *err)
{
    if (list->has_vector || !plan_applies(plan, MIGRATION_SET_DOMAIN))
        return true;
    snprintf(plan->hint, sizeof plan->hint,
             "Install it on the server (Debian: apt install postgresql-%d-pgvector), or apply "
             "errand's own tables alone: --only queue",
             list->server_version / 10000);
    return err_set(
        err, ERR_PERMANENT,
        "the domain tables need the extension vector (pgvector), which this server does not have; "
        "nothing was changed");
}

/* A message is mailed by one errand. */
static bool plan_check_email(struct migration_plan *plan, const struct migration_list *list,
                             const struct session *session, struct err *err)
{
    if (!list->email_schema || !plan_applies(plan, MIGRATION_SET_EMAIL) ||
        strcmp(list->email_schema, session_schema(session)) == 0)
        return true;
    snprintf(plan->hint, sizeof plan->hint,
             "Leave the set email out here: errand migrate up --only queue,auth,domain");
    return err_set(err, ERR_CONFIG,
                   "the messages of this database are mailed by the errand in schema %s; nothing "
                   "was changed",
                   list->email_schema);
}

static bool plan_check_needs(struct migration_plan *plan, const struct migration_list *list,
                             enum migration_set set, enum migration_set needed, bool stands,
                             struct err *err)
{
    if (!plan_applies(plan, set) || stands || plan_has(plan, needed) ||
        migration_list_recorded(list, needed) > 0)
        return true;
    snprintf(plan->hint, sizeof plan->hint, "Leave --only off, or name both: --only %s,%s",
             migration_set_name(needed), migration_set_name(set));
    return err_set(err, ERR_PERMANENT,
                   "set %s needs set %s, which is not applied; nothing was changed",
                   migration_set_name(set), migration_set_name(needed));
}

/* ---- Adoption ---- */

static void add_missing(struct buf *text, const struct session_rows *rows)
{
    for (size_t row = 0; row < session_rows_count(rows); row++)
        buf_printf(text, "%s%s", row ? ", " : "", session_rows_text(rows, row, 0));
}

/* Domain tables stand that errand did not make: all of them, or no adoption. */
static bool plan_check_domain(struct migration_plan *plan, const struct migration_list *list,
                              struct session *session, struct err *err)
{
    struct session_rows *rows;
    struct buf missing;
    if (!session_run(session, &cli_sql[CLI_SQL_MIGRATION_DOMAIN_MISSING], 0, NULL, &rows, err))
        return false;
    bool whole = session_rows_count(rows) == 0;
    buf_init(&missing, 0);
    add_missing(&missing, rows);
    session_rows_free(rows);
    if (!whole) {
        snprintf(plan->hint, sizeof plan->hint,
                 "Complete them (migrations/domain shows how), or move them away, or apply "
                 "errand's own tables alone: "
                 "errand migrate up --only queue");
        err_set(err, ERR_CONFIG,
                "%ld of the %d domain tables of 001-011 stand already, so errand can neither make "
                "nor adopt them; "
                "missing: %s; nothing was changed",
                list->domain_tables, MIGRATION_DOMAIN_TABLES, buf_text(&missing));
    }
    buf_clear(&missing);
    return whole;
}

/* ---- The plan ---- */

static void plan_add(struct migration_plan *plan, const struct migration *migration, bool adopts)
{
    adopts = adopts && migration->set == MIGRATION_SET_DOMAIN &&
             migration->number <= MIGRATION_DOMAIN_ADOPTED;
    plan->steps[plan->count++] =
        (struct migration_step){adopts ? MIGRATION_ADOPT : MIGRATION_APPLY, migration};
}

static bool plan_fill(struct migration_plan *plan, const struct migration_list *list,
                      struct session *session, unsigned mask, struct err *err)
{
    bool adopts = (mask & 1u << MIGRATION_SET_DOMAIN) && list->domain_tables > 0 &&
                  migration_list_recorded(list, MIGRATION_SET_DOMAIN) == 0;
    if (adopts && !plan_check_domain(plan, list, session, err))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct migration *item = &list->items[i];
        if (item->state == MIGRATION_PENDING && (mask & 1u << item->set))
            plan_add(plan, item, adopts);
    }
    return plan_check_vector(plan, list, err) && plan_check_email(plan, list, session, err) &&
           plan_check_needs(plan, list, MIGRATION_SET_DOMAIN, MIGRATION_SET_AUTH, list->has_auth,
                            err) &&
           plan_check_needs(plan, list, MIGRATION_SET_EMAIL, MIGRATION_SET_QUEUE, false, err) &&
           plan_check_needs(plan, list, MIGRATION_SET_EMAIL, MIGRATION_SET_DOMAIN, false, err) &&
           plan_check_needs(plan, list, MIGRATION_SET_BILLING, MIGRATION_SET_QUEUE, false, err) &&
           plan_check_needs(plan, list, MIGRATION_SET_BILLING, MIGRATION_SET_DOMAIN, false, err);
}

bool migration_plan_make(struct migration_plan *plan, const struct migration_list *list,
                         struct session *session, unsigned mask, struct err *err)
{
    *plan = (struct migration_plan){0};
    plan->steps = mem_zalloc((list->count + 1) * sizeof *plan->steps);
    if (plan_check_list(plan, list, err) && plan_fill(plan, list, session, mask, err))
        return true;
    free(plan->steps);
    plan->steps = NULL;
    plan->count = 0;
    return false;
}

void migration_plan_clear(struct migration_plan *plan)
{
    free(plan->steps);
    *plan = (struct migration_plan){0};
}
