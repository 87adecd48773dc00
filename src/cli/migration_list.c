#include "cli/migration_list.h"

#include "base/mem.h"
#include "cli_sql.h"

#include <stdlib.h>
#include <string.h>

const char *migration_state_name(enum migration_state state)
{
    static const char *const names[] = {"pending",  "applied", "adopted",
                                        "unneeded", "changed", "newer"};
    return names[state];
}

/* ---- Files ---- */

static void migration_list_add_file(struct migration_list *list, const struct migration_file *file,
                                    enum migration_set set)
{
    struct migration *item = &list->items[list->count++];
    *item = (struct migration){.file = file, .set = set, .number = atoi(file->name)};
    item->set_name = mem_strdup(file->set);
    item->name = mem_strdup(file->name);
    checksum_text(file->text, file->length, item->checksum);
}

static void migration_list_add_files(struct migration_list *list)
{
    for (unsigned set = 0; set < MIGRATION_SET_COUNT; set++)
        for (size_t i = 0; i < migration_file_count; i++)
            if (migration_set_find(migration_files[i].set) == (enum migration_set)set)
                migration_list_add_file(list, &migration_files[i], (enum migration_set)set);
}

/* ---- Records ---- */

enum {
    RECORD_SET,
    RECORD_NUMBER,
    RECORD_NAME,
    RECORD_CHECKSUM,
    RECORD_ADOPTED,
    RECORD_AT,
    RECORD_BY
};

static struct migration *migration_list_find(struct migration_list *list, const char *set,
                                             int number)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].number == number && strcmp(list->items[i].set_name, set) == 0)
            return &list->items[i];
    return NULL;
}

static void migration_list_add_record(struct migration_list *list, const struct session_rows *rows,
                                      size_t row)
{
    const char *set = session_rows_text(rows, row, RECORD_SET);
    int number = atoi(session_rows_text(rows, row, RECORD_NUMBER));
    struct migration *item = migration_list_find(list, set, number);
    if (!item) {
        item = &list->items[list->count++];
        *item = (struct migration){.state = MIGRATION_NEWER, .number = number};
        item->set = migration_set_find(set);
        item->set_name = mem_strdup(set);
        item->name = mem_strdup(session_rows_text(rows, row, RECORD_NAME));
    } else if (strcmp(item->checksum, session_rows_text(rows, row, RECORD_CHECKSUM)) != 0 &&
               *session_rows_text(rows, row, RECORD_ADOPTED) != 't') {
        item->state = MIGRATION_CHANGED;
    } else {
        item->state = *session_rows_text(rows, row, RECORD_ADOPTED) == 't' ? MIGRATION_ADOPTED
                                                                           : MIGRATION_APPLIED;
    }
    item->applied_at = mem_strdup(session_rows_text(rows, row, RECORD_AT));
    item->applied_by = mem_strdup(session_rows_text(rows, row, RECORD_BY));
}

static bool migration_list_read_records(struct migration_list *list, struct session *session,
                                        struct err *err)
{
    struct session_rows *rows;
    if (!list->has_records)
        return true;
    if (!session_run(session, &cli_sql[CLI_SQL_MIGRATION_RECORDS], 0, NULL, &rows, err))
        return false;
    size_t count = session_rows_count(rows);
    list->items = mem_resize(list->items, (list->count + count + 1) * sizeof *list->items);
    for (size_t row = 0; row < count; row++)
        migration_list_add_record(list, rows, row);
    session_rows_free(rows);
    return true;
}

static bool migration_list_read_facts(struct migration_list *list, struct session *session,
                                      struct err *err)
{
    struct session_rows *rows;
    if (!session_run(session, &cli_sql[CLI_SQL_MIGRATION_FACTS], 0, NULL, &rows, err))
        return false;
    list->has_records = *session_rows_text(rows, 0, 0) == 't';
    list->has_auth = *session_rows_text(rows, 0, 1) == 't';
    list->has_vector = *session_rows_text(rows, 0, 2) == 't';
    list->has_supabase = *session_rows_text(rows, 0, 3) == 't';
    list->domain_tables = atol(session_rows_text(rows, 0, 4));
    const char *email_schema = session_rows_text(rows, 0, 5);
    list->email_schema = email_schema ? mem_strdup(email_schema) : NULL;
    list->server_version = session_server_version(session);
    session_rows_free(rows);
    return true;
}

size_t migration_list_recorded(const struct migration_list *list, enum migration_set set)
{
    size_t recorded = 0;
    for (size_t i = 0; i < list->count; i++)
        recorded += list->items[i].set == set && list->items[i].applied_at != NULL;
    return recorded;
}

static void migration_list_mark_unneeded(struct migration_list *list)
{
    if (!list->has_auth || migration_list_recorded(list, MIGRATION_SET_AUTH) > 0)
        return;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].set == MIGRATION_SET_AUTH)
            list->items[i].state = MIGRATION_UNNEEDED;
}

/* ---- The list ---- */

bool migration_list_load(struct migration_list *list, struct session *session, struct err *err)
{
    *list = (struct migration_list){0};
    list->items = mem_zalloc((migration_file_count + 1) * sizeof *list->items);
    migration_list_add_files(list);
    if (!migration_list_read_facts(list, session, err) ||
        !migration_list_read_records(list, session, err)) {
        migration_list_clear(list);
        return false;
    }
    migration_list_mark_unneeded(list);
    return true;
}

void migration_list_clear(struct migration_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].set_name);
        free(list->items[i].name);
        free(list->items[i].applied_at);
        free(list->items[i].applied_by);
    }
    free(list->items);
    free(list->email_schema);
    *list = (struct migration_list){0};
}

const char *migration_list_newer(const struct migration_list *list, enum migration_set set)
{
    const char *name = NULL;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].set == set && list->items[i].state == MIGRATION_NEWER)
            name = list->items[i].name;
    return name;
}

bool migration_list_fits(const struct migration_list *list, const char *place,
                         enum migration_set set, const char **hint, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct migration *item = &list->items[i];
        if (item->set != set)
            continue;
        if (item->state == MIGRATION_PENDING) {
            bool missing = migration_list_recorded(list, set) == 0;
            *hint = "Run: errand migrate up";
            return err_set(err, ERR_CONFIG, "%s in %s: %s/%s is not applied",
                           missing ? "errand's tables are missing"
                                   : "errand's tables are older than this errand",
                           place, item->set_name, item->name);
        }
    }
    return true;
}

bool migration_list_check(struct session *session, enum migration_set set, const char **hint,
                          struct err *err)
{
    struct migration_list list;
    *hint = "";
    if (!migration_list_load(&list, session, err))
        return false;
    bool ok = migration_list_fits(&list, session_place(session), set, hint, err);
    migration_list_clear(&list);
    return ok;
}
