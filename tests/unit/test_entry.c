/* entry: what a row of lane_read becomes, and which of two jobs is first. */
#include "queue/entry.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <string.h>

static const int64_t postgres_epoch_us = INT64_C(946684800000000);
static struct kind_life life = {.holders = 1};
static const struct kind kind = {
    .name = "k", .max_attempts = 20, .timeout_ms = 60000, .life = &life};

enum { COLUMNS = ROW_AFTER_ID + 1 };

/* A row in binary form; sizes 0 are NULL. */
struct cell {
    int bytes;
    int64_t value;
    const char *text;
};

static PGresult *row_of(const struct cell *cells)
{
    static char name[] = "c";
    PGresAttDesc columns[COLUMNS];
    PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = (PGresAttDesc){.name = name, .format = 1};
    assert_true(PQsetResultAttrs(rows, COLUMNS, columns));
    for (int i = 0; i < COLUMNS; i++) {
        uint64_t wire = htobe64((uint64_t)cells[i].value);
        char bytes[8];
        memcpy(bytes, (const char *)&wire + 8 - (cells[i].bytes ? cells[i].bytes : 8),
               (size_t)(cells[i].bytes ? cells[i].bytes : 8));
        char text[256];
        if (cells[i].text) {
            strcpy(text, cells[i].text);
            assert_true(PQsetvalue(rows, 0, i, text, (int)strlen(text)));
        } else {
            assert_true(PQsetvalue(rows, 0, i, cells[i].bytes ? bytes : NULL,
                                   cells[i].bytes ? cells[i].bytes : -1));
        }
    }
    return rows;
}

static void plain_row(struct cell *cells)
{
    memset(cells, 0, COLUMNS * sizeof *cells);
    cells[ROW_PRIORITY] = (struct cell){.bytes = 2, .value = 1};
    cells[ROW_RUN_AT] = (struct cell){.bytes = 8, .value = 1000 - postgres_epoch_us};
    cells[ROW_ID] = (struct cell){.bytes = 8, .value = INT64_C(5000000000)};
    cells[ROW_ATTEMPT] = (struct cell){.bytes = 2, .value = 3};
    cells[ROW_REVISION] = (struct cell){.bytes = 4, .value = 70000};
    cells[ROW_CANCEL_REQUESTED] = (struct cell){.bytes = 1, .value = 0};
    cells[ROW_KIND] = (struct cell){.text = "k"};
    cells[ROW_ARGS] = (struct cell){.text = "{\"a\": \"\xc3\xa4\"}"};
    cells[ROW_LATER] = (struct cell){.bytes = 1, .value = 0};
}

static struct entry *entry_of(const struct cell *cells)
{
    PGresult *rows = row_of(cells);
    struct entry *entry = entry_new(NULL, &kind, rows, 0);
    PQclear(rows); /* nothing of the row is needed afterwards */
    return entry;
}

static void test_plain_row(void **state)
{
    (void)state;
    struct cell cells[COLUMNS];
    plain_row(cells);
    int64_t before_us = clock_mono_us();
    struct entry *entry = entry_of(cells);
    assert_int_equal(entry->priority, 1);
    assert_int_equal(entry->run_at_us, 1000);
    assert_true(entry->id == INT64_C(5000000000));
    assert_int_equal(entry->attempt, 3);
    assert_int_equal(entry->revision, 70000);
    assert_int_equal(entry->max_attempts, 20);
    assert_int_equal(entry->timeout_ms, 60000);
    assert_string_equal(entry->args, "{\"a\": \"\xc3\xa4\"}");
    assert_ptr_equal(entry->kind, &kind);
    assert_in_range(entry->read_us, before_us, clock_mono_us());
    assert_false(entry->claimed || entry->lost_before || entry->cancel_requested ||
                 entry->cautious || entry->gone);
    assert_int_equal(entry->started_us, 0);
    assert_true(entry->expires_us == INT64_MAX);
    assert_int_equal(entry->in_heap.place, 0);
    entry_free(entry);
}

static void test_row_with_everything(void **state)
{
    (void)state;
    struct cell cells[COLUMNS];
    plain_row(cells);
    cells[ROW_MAX_ATTEMPTS] = (struct cell){.bytes = 2, .value = 1000};
    cells[ROW_TIMEOUT_MS] = (struct cell){.bytes = 4, .value = 86400000};
    cells[ROW_CLAIMED_BY] = (struct cell){.bytes = 8, .value = 9};
    cells[ROW_CANCEL_REQUESTED].value = 1;
    cells[ROW_EXPIRES_AT] = (struct cell){.bytes = 8, .value = 2000 - postgres_epoch_us};
    struct entry *entry = entry_of(cells);
    assert_int_equal(entry->max_attempts, 1000);
    assert_int_equal(entry->timeout_ms, 86400000);
    assert_true(entry->claimed && entry->lost_before && entry->cancel_requested);
    assert_int_equal(entry->expires_us, 2000);
    entry_free(entry);
}

static void test_empty_args(void **state)
{
    (void)state;
    struct cell cells[COLUMNS];
    plain_row(cells);
    cells[ROW_ARGS] = (struct cell){.text = ""};
    struct entry *entry = entry_of(cells);
    assert_string_equal(entry->args, "");
    entry_free(entry);
}

/* ---- Order ---- */

static void check_order(bool (*is_before)(const struct heap_item *, const struct heap_item *),
                        const struct entry *a, const struct entry *b, bool wanted)
{
    assert_int_equal(is_before(&a->in_heap, &b->in_heap), wanted);
    if (wanted)
        assert_false(is_before(&b->in_heap, &a->in_heap));
}

static void test_order(void **state)
{
    (void)state;
    static const struct entry urgent = {.priority = 0, .run_at_us = 300, .id = 9},
                              early = {.priority = 2, .run_at_us = 100, .id = 8},
                              late = {.priority = 2, .run_at_us = 200, .id = 1},
                              later_id = {.priority = 2, .run_at_us = 200, .id = 2};
    check_order(entry_is_before, &urgent, &early, true);
    check_order(entry_is_before, &early, &late, true);
    check_order(entry_is_before, &late, &later_id, true);
    check_order(entry_is_before, &late, &late, false);
    /* Those that wait for their time are ordered by it alone. */
    check_order(entry_is_due_before, &early, &urgent, true);
    check_order(entry_is_due_before, &late, &urgent, true);
    check_order(entry_is_due_before, &late, &later_id, true);
    check_order(entry_is_due_before, &late, &late, false);
}

static void test_from_heap(void **state)
{
    (void)state;
    struct entry entry = {.id = 1};
    assert_ptr_equal(entry_from_heap(&entry.in_heap), &entry);
}

/* ---- Suspects: a runner was lost under it, not for the first time or before its last attempt ----
 */

static void test_suspect(void **state)
{
    (void)state;
    static const struct {
        int attempt, max_attempts;
        bool lost_before, suspect;
    } table[] = {
        {5, 20, false, false}, {19, 20, false, false}, {1, 20, true, false}, {2, 20, true, true},
        {1, 2, true, true},    {1, 3, true, false},    {1, 1, true, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct entry entry = {.attempt = table[i].attempt,
                              .max_attempts = table[i].max_attempts,
                              .lost_before = table[i].lost_before};
        assert_int_equal(entry_is_suspect(&entry), table[i].suspect);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_row),  cmocka_unit_test(test_row_with_everything),
        cmocka_unit_test(test_empty_args), cmocka_unit_test(test_order),
        cmocka_unit_test(test_from_heap),  cmocka_unit_test(test_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
