/* migration: sets, checksums, the embedded files, and plans that need no database. */
#include "cli/migration_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_sets(void **state)
{
    (void)state;
    struct err err;
    unsigned mask;
    assert_true(migration_set_parse("queue", &mask, &err));
    assert_int_equal(mask, 1u << MIGRATION_SET_QUEUE);
    assert_true(migration_set_parse("email,auth", &mask, &err));
    assert_int_equal(mask, 1u << MIGRATION_SET_EMAIL | 1u << MIGRATION_SET_AUTH);
    assert_false(migration_set_parse("queue,", &mask, &err));
    assert_false(migration_set_parse("", &mask, &err));
    assert_false(migration_set_parse("queues", &mask, &err));
    assert_non_null(strstr(err.text, "'queues'; allowed: queue, auth, domain, email, billing"));
    assert_int_equal(migration_set_find("nothing"), MIGRATION_SET_COUNT);
}

static void test_checksum(void **state)
{
    (void)state;
    char text[CHECKSUM_TEXT_BYTES];
    checksum_text("abc", 3, text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* A statement that begins or ends a transaction would take a migration out of its own. */
static bool ends_transaction(const char *text)
{
    static const char *const words[] = {"\nbegin;", "\ncommit", "\nrollback", "\nstart transaction",
                                        "\nend;\n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(text, words[i]))
            return true;
    return false;
}

/* Numbers of a set run from 001 without a hole; 001-011 of domain are the names of the schema
 * document. */
static void test_files(void **state)
{
    (void)state;
    int last[MIGRATION_SET_COUNT] = {0};
    assert_true(migration_file_count > 0);
    for (size_t i = 0; i < migration_file_count; i++) {
        const struct migration_file *file = &migration_files[i];
        enum migration_set set = migration_set_find(file->set);
        assert_true(set < MIGRATION_SET_COUNT);
        assert_int_equal(atoi(file->name), last[set] + 1);
        assert_int_equal(strspn(file->name, "0123456789"), 3);
        last[set]++;
        char *text = calloc(1, file->length + 1);
        memcpy(text, file->text, file->length);
        assert_int_equal(strlen(text), file->length);
        if (ends_transaction(text))
            fail_msg("%s/%s begins or ends a transaction", file->set, file->name);
        free(text);
    }
    assert_true(last[MIGRATION_SET_QUEUE] >= 1);
}

/* ---- Plans ---- */

static struct migration item(enum migration_set set, int number, enum migration_state state)
{
    static const struct migration_file file = {"x", "x", "x", 1};
    static char names[8][32];
    static size_t next;
    char *name = names[next++ % 8];
    snprintf(name, sizeof names[0], "%03d_x.sql", number);
    static char set_names[MIGRATION_SET_COUNT][16];
    snprintf(set_names[set], sizeof set_names[0], "%s", migration_set_name(set));
    return (struct migration){.file = &file,
                              .state = state,
                              .set = set,
                              .number = number,
                              .set_name = set_names[set],
                              .name = name,
                              .applied_at = state == MIGRATION_PENDING ? NULL : name};
}

static void test_plan_of_an_empty_database(void **state)
{
    (void)state;
    struct migration items[] = {item(MIGRATION_SET_QUEUE, 1, MIGRATION_PENDING),
                                item(MIGRATION_SET_AUTH, 1, MIGRATION_PENDING),
                                item(MIGRATION_SET_DOMAIN, 1, MIGRATION_PENDING),
                                item(MIGRATION_SET_EMAIL, 1, MIGRATION_PENDING)};
    struct migration_list list = {.items = items, .count = 4, .has_vector = true};
    struct migration_plan plan;
    struct err err = {0};
    assert_true(migration_plan_make(&plan, &list, NULL, MIGRATION_SET_ALL, &err));
    assert_int_equal(plan.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(plan.steps[i].migration, &items[i]);
        assert_int_equal(plan.steps[i].action, MIGRATION_APPLY);
    }
    migration_plan_clear(&plan);
    assert_true(migration_plan_make(&plan, &list, NULL, 1u << MIGRATION_SET_QUEUE, &err));
    assert_int_equal(plan.count, 1);
    migration_plan_clear(&plan);
}

static void assert_refused(struct migration_list *list, unsigned mask, const char *text,
                           const char *hint)
{
    struct migration_plan plan;
    struct err err = {0};
    assert_false(migration_plan_make(&plan, list, NULL, mask, &err));
    if (!strstr(err.text, text) || !strstr(plan.hint, hint))
        fail_msg("'%s' and '%s' are not in '%s' and '%s'", text, hint, err.text, plan.hint);
}

static void test_plans_that_are_refused(void **state)
{
    (void)state;
    struct migration items[] = {item(MIGRATION_SET_QUEUE, 1, MIGRATION_PENDING),
                                item(MIGRATION_SET_AUTH, 1, MIGRATION_PENDING),
                                item(MIGRATION_SET_DOMAIN, 1, MIGRATION_PENDING),
                                item(MIGRATION_SET_EMAIL, 1, MIGRATION_PENDING)};
    struct migration_list list = {.items = items, .count = 4, .server_version = 150004};
    assert_refused(&list, MIGRATION_SET_ALL, "pgvector", "postgresql-15-pgvector");
    list.has_vector = true;
    assert_refused(&list, 1u << MIGRATION_SET_DOMAIN, "set domain needs set auth",
                   "--only auth,domain");
    assert_refused(&list, 1u << MIGRATION_SET_EMAIL, "set email needs set queue",
                   "--only queue,email");
    items[0].state = MIGRATION_CHANGED;
    items[0].applied_at = items[0].name;
    assert_refused(&list, MIGRATION_SET_ALL, "queue/001_x.sql was changed", "never edited");
    items[0].state = MIGRATION_NEWER;
    assert_refused(&list, MIGRATION_SET_ALL, "newer than this errand: it has queue/001_x.sql",
                   "Install");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_plan_of_an_empty_database),
        cmocka_unit_test(test_plans_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
