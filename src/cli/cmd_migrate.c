/* errand migrate up | status | plan */
#include "cli/cmd.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/migration_apply.h"
#include "cli/migration_list.h"
#include "cli/migration_plan.h"
#include "cli/session.h"
#include "cli/table.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command_flag cmd_migrate_up_flags[] = {
    {"only", "SET[,SET]", "only these sets of: queue, auth, domain, email, billing"},
    {NULL, NULL, NULL},
};

const struct command_flag cmd_migrate_plan_flags[] = {
    {"only", "SET[,SET]", "only these sets of: queue, auth, domain, email, billing"},
    {"sql", NULL, "print the SQL as well"},
    {NULL, NULL, NULL},
};

/* What the three commands hold while they work. */
struct cmd_migrate {
    struct session *session;
    struct migration_list list;
    struct migration_plan plan;
    unsigned mask;
};

static void migrate_close(struct cmd_migrate *migrate)
{
    migration_plan_clear(&migrate->plan);
    migration_list_clear(&migrate->list);
    session_close(migrate->session);
}

static bool migrate_open(struct cmd_migrate *migrate, const struct cli *cli, int *status)
{
    struct err err = {0};
    *migrate = (struct cmd_migrate){.mask = MIGRATION_SET_ALL};
    const char *only = cli_flag(cli, "only");
    if (only && !migration_set_parse(only, &migrate->mask, &err)) {
        *status = failure_usage(cli, "", "flag --only: %s", err.text);
        return false;
    }
    if (!cli_connect(cli, &migrate->session, status))
        return false;
    if (migration_list_load(&migrate->list, migrate->session, &err))
        return true;
    *status =
        failure_statement(cli, migrate->session, "cannot read the state of the migrations", &err);
    migrate_close(migrate);
    return false;
}

static int migrate_refused(const struct cli *cli, const struct cmd_migrate *migrate,
                           const struct err *err)
{
    if (*err->sqlstate || !*migrate->plan.hint)
        return failure_statement(cli, migrate->session, "cannot plan the migration", err);
    return failure_tell(cli, err->code == ERR_CONFIG ? FAILURE_SCHEMA : FAILURE_FAILED, err->text,
                        migrate->plan.hint);
}

static bool migrate_plan(struct cmd_migrate *migrate, const struct cli *cli, int *status)
{
    struct err err = {0};
    if (migration_plan_make(&migrate->plan, &migrate->list, migrate->session, migrate->mask, &err))
        return true;
    *status = migrate_refused(cli, migrate, &err);
    migrate_close(migrate);
    return false;
}

static void print_json(json_t *value)
{
    char *text = json_dumps(value, JSON_ENSURE_ASCII);
    puts(text);
    free(text);
    json_decref(value);
}

/* ---- The plan ---- */

static bool plan_adopts(const struct migration_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].action == MIGRATION_ADOPT)
            return true;
    return false;
}

/* The text of a step as it will run; the caller frees it. */
static char *step_sql(struct session *session, const struct migration_step *step)
{
    const struct migration_file *file = step->migration->file;
    char *text = mem_strndup(file->text, file->length);
    char *sql = mem_strdup(session_sql(session, text));
    free(text);
    return sql;
}

static void plan_print_sql(struct session *session, const struct migration_step *step)
{
    if (step->action != MIGRATION_APPLY)
        return;
    char *text = step_sql(session, step);
    puts(text);
    free(text);
}

static void plan_print(const struct cmd_migrate *migrate, bool sql)
{
    const struct migration_plan *plan = &migrate->plan;
    if (plan->count == 0) {
        printf("%s: nothing to do\n", session_place(migrate->session));
        return;
    }
    printf("%s: %zu to do\n", session_place(migrate->session), plan->count);
    if (plan_adopts(plan))
        printf("  the twelve domain tables of 001-011 stand already%s: these are recorded as "
               "adopted, and nothing "
               "of them is changed\n",
               migrate->list.has_supabase ? " (Supabase's migration tool has been here)" : "");
    for (size_t i = 0; i < plan->count; i++) {
        const struct migration_step *step = &plan->steps[i];
        printf("  %s  %s/%s\n", migration_action_name(step->action), step->migration->set_name,
               step->migration->name);
        if (sql)
            plan_print_sql(migrate->session, step);
    }
    fflush(stdout);
}

static json_t *step_json(const struct migration_step *step)
{
    return json_pack("{s:s, s:i, s:s, s:s}", "set", step->migration->set_name, "number",
                     step->migration->number, "name", step->migration->name, "action",
                     migration_action_name(step->action));
}

static void plan_print_json(const struct cmd_migrate *migrate, bool sql)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < migrate->plan.count; i++) {
        const struct migration_step *step = &migrate->plan.steps[i];
        json_t *object = step_json(step);
        if (sql && step->action == MIGRATION_APPLY) {
            char *text = step_sql(migrate->session, step);
            json_object_set_new(object, "sql", json_string(text));
            free(text);
        }
        json_array_append_new(steps, object);
    }
    print_json(steps);
}

int cmd_migrate_plan(struct cli *cli)
{
    struct cmd_migrate migrate;
    int status;
    bool sql = cli_flag(cli, "sql") != NULL;
    if (!migrate_open(&migrate, cli, &status) || !migrate_plan(&migrate, cli, &status))
        return status;
    if (cli->json)
        plan_print_json(&migrate, sql);
    else
        plan_print(&migrate, sql);
    migrate_close(&migrate);
    return FAILURE_OK;
}

/* ---- Up ---- */

static void up_failed_hint(const struct session *session, const struct err *err, char *hint,
                           size_t size)
{
    if (err->code == ERR_UNKNOWN_OUTCOME)
        snprintf(hint, size,
                 "It may have been applied: see `errand migrate status`, then run this again.");
    else if (strcmp(err->sqlstate, "55P03") == 0)
        snprintf(
            hint, size,
            "Something else holds a table that it needs: end that, then run this again. Nothing of "
            "this migration was applied.");
    else if (strcmp(err->sqlstate, "42501") == 0)
        snprintf(hint, size,
                 "Connect as the owner of the database (now: \"%s\"). Nothing of this migration "
                 "was applied.",
                 session_user(session));
    else
        snprintf(hint, size, "Nothing of this migration was applied; those before it stand.%s%s",
                 *session_hint(session) ? " " : "", session_hint(session));
}

static int up_failed(const struct cli *cli, const struct session *session, const struct err *err)
{
    char message[ERR_TEXT_BYTES * 3], hint[ERR_TEXT_BYTES * 2];
    const char *detail = session_detail(session);
    up_failed_hint(session, err, hint, sizeof hint);
    snprintf(message, sizeof message, "migration %s%s%s%s", err->text, *detail ? " (" : "", detail,
             *detail ? ")" : "");
    return failure_tell(cli, err->code == ERR_UNKNOWN_OUTCOME ? FAILURE_DATABASE : FAILURE_FAILED,
                        message, hint);
}

static const char *up_word(const struct migration_step *step, enum migration_outcome outcome)
{
    if (outcome == MIGRATION_OUTCOME_ALREADY)
        return "already";
    return step->action == MIGRATION_ADOPT ? "adopted" : "applied";
}

static int up_steps(const struct cli *cli, struct cmd_migrate *migrate, json_t *told)
{
    for (size_t i = 0; i < migrate->plan.count; i++) {
        const struct migration_step *step = &migrate->plan.steps[i];
        enum migration_outcome outcome;
        struct err err = {0};
        if (!migration_apply(migrate->session, step, &outcome, &err))
            return up_failed(cli, migrate->session, &err);
        json_t *object = step_json(step);
        json_object_set_new(object, "outcome", json_string(up_word(step, outcome)));
        json_array_append_new(told, object);
        if (!cli->json) {
            printf("%s  %s/%s\n", up_word(step, outcome), step->migration->set_name,
                   step->migration->name);
            fflush(stdout);
        }
    }
    return FAILURE_OK;
}

int cmd_migrate_up(struct cli *cli)
{
    struct cmd_migrate migrate;
    int status;
    if (!migrate_open(&migrate, cli, &status) || !migrate_plan(&migrate, cli, &status))
        return status;
    if (!cli->json)
        plan_print(&migrate, false);
    json_t *told = json_array();
    status = up_steps(cli, &migrate, told);
    if (cli->json)
        print_json(told);
    else
        json_decref(told);
    migrate_close(&migrate);
    return status;
}

/* ---- Status ---- */

static void status_print(const struct migration_list *list)
{
    static const char *const headings[] = {"migration", "state", "applied_at", "applied_by"};
    static const struct table_shape shape = {headings, 4, 0, false};
    struct table table;
    table_init(&table, &shape);
    for (size_t i = 0; i < list->count; i++) {
        const struct migration *item = &list->items[i];
        char name[256];
        snprintf(name, sizeof name, "%s/%s", item->set_name, item->name);
        const char *const cells[] = {name, migration_state_name(item->state), item->applied_at,
                                     item->applied_by};
        table_add(&table, cells);
    }
    table_print(&table);
    table_clear(&table);
}

static void status_print_json(const struct migration_list *list)
{
    json_t *items = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct migration *item = &list->items[i];
        json_array_append_new(items,
                              json_pack("{s:s, s:i, s:s, s:s, s:s?, s:s?}", "set", item->set_name,
                                        "number", item->number, "name", item->name, "state",
                                        migration_state_name(item->state), "applied_at",
                                        item->applied_at, "applied_by", item->applied_by));
    }
    print_json(items);
}

int cmd_migrate_status(struct cli *cli)
{
    struct cmd_migrate migrate;
    int status;
    if (!migrate_open(&migrate, cli, &status))
        return status;
    if (cli->json)
        status_print_json(&migrate.list);
    else
        status_print(&migrate.list);
    migrate_close(&migrate);
    return FAILURE_OK;
}
