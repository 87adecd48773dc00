/* unit: what is added stays as it was; values of binary results; times as text; which SQLSTATE
 * means what. */
#include "db/time_text.h"
#include "db/unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <stdio.h>
#include <string.h>

/* ---- Statements ---- */

static void on_done(struct db_unit *unit, void *owner)
{
    (void)unit, (void)owner;
}

static void test_params_are_copied(void **state)
{
    (void)state;
    static const struct errand_statement one = {"one", "select 1"}, two = {"two", "select 2"};
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_done, NULL);
    char text[] = "value", empty[] = "";
    const char *params[] = {text, NULL, empty};
    db_unit_add(unit, &one, 3, params);
    db_unit_add_binary(unit, &two, 0, NULL);
    memset(text, 'x', 5);
    params[1] = "not null";
    assert_int_equal(unit->count, 2);
    assert_int_equal(unit->statements[0].count, 3);
    assert_string_equal(unit->statements[0].params[0], "value");
    assert_null(unit->statements[0].params[1]);
    assert_string_equal(unit->statements[0].params[2], "");
    assert_false(unit->statements[0].binary);
    assert_ptr_equal(unit->statements[1].statement, &two);
    assert_int_equal(unit->statements[1].count, 0);
    assert_true(unit->statements[1].binary);
    assert_int_equal(unit->err.code, ERR_NONE);
    db_unit_free(unit);
}

static void test_many_statements(void **state)
{
    (void)state;
    static const struct errand_statement one = {"one", "select 1"};
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_done, NULL);
    char text[16];
    for (int i = 0; i < 1000; i++) {
        const char *params[] = {text};
        snprintf(text, sizeof text, "%d", i);
        db_unit_add(unit, &one, 1, params);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_string_equal(unit->statements[i].params[0], text);
    }
    db_unit_free(unit);
}

static void test_results_are_the_units(void **state)
{
    (void)state;
    static const struct errand_statement one = {"one", "select 1"};
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_done, NULL);
    db_unit_add(unit, &one, 0, NULL);
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    unit->statements[0].result = result;
    assert_ptr_equal(db_unit_result(unit, 0), result);
    db_unit_free(unit); /* frees it: the sanitizer sees */
}

/* ---- Values ---- */

/* One row with one value in binary form; NULL data is SQL NULL. */
static PGresult *one_value(const void *data, int length)
{
    static char name[] = "v";
    PGresAttDesc column = {.name = name, .format = 1};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    char bytes[16] = {0};
    assert_true(PQsetResultAttrs(result, 1, &column));
    if (data)
        memcpy(bytes, data, (size_t)length);
    assert_true(PQsetvalue(result, 0, 0, data ? bytes : NULL, data ? length : -1));
    return result;
}

static int64_t read_int(const void *data, int length)
{
    PGresult *result = one_value(data, length);
    int64_t value = db_get_int(result, 0, 0);
    PQclear(result);
    return value;
}

static void test_integers_of_every_size(void **state)
{
    (void)state;
    static const int64_t eights[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1234567890123};
    static const int32_t fours[] = {0, 1, -1, INT32_MAX, INT32_MIN};
    static const int16_t twos[] = {0, 1, -1, INT16_MAX, INT16_MIN};
    for (size_t i = 0; i < sizeof eights / sizeof *eights; i++) {
        uint64_t wire = htobe64((uint64_t)eights[i]);
        assert_true(read_int(&wire, 8) == eights[i]);
    }
    for (size_t i = 0; i < sizeof fours / sizeof *fours; i++) {
        uint32_t wire = htobe32((uint32_t)fours[i]);
        assert_true(read_int(&wire, 4) == fours[i]);
    }
    for (size_t i = 0; i < sizeof twos / sizeof *twos; i++) {
        uint16_t wire = htobe16((uint16_t)twos[i]);
        assert_true(read_int(&wire, 2) == twos[i]);
    }
    assert_true(read_int("\x01", 1) == 1);
    assert_true(read_int("\0", 1) == 0);
    assert_true(read_int(NULL, 0) == 0);
}

static int64_t read_time(int64_t since_2000_us)
{
    uint64_t wire = htobe64((uint64_t)since_2000_us);
    PGresult *result = one_value(&wire, 8);
    int64_t value = db_get_time_us(result, 0, 0);
    PQclear(result);
    return value;
}

static void test_times(void **state)
{
    (void)state;
    static const int64_t epoch_us = INT64_C(946684800000000);
    assert_true(read_time(0) == epoch_us);
    assert_true(read_time(-epoch_us) == 0);
    assert_true(read_time(1) == epoch_us + 1);
    assert_true(read_time(-epoch_us - 1) == -1);
    assert_true(read_time(INT64_MAX) == INT64_MAX); /* infinity */
    assert_true(read_time(INT64_MIN) == INT64_MIN); /* -infinity */
    /* 294276-12-31 23:59:59.999999, the last that PostgreSQL knows */
    assert_true(read_time(INT64_C(9223371331199999999)) >= INT64_C(9223371331199999999));
}

static void test_times_as_text(void **state)
{
    (void)state;
    static const struct {
        int64_t at_us;
        const char *text;
    } table[] = {
        {0, "1970-01-01 00:00:00.000000+00"},
        {1, "1970-01-01 00:00:00.000001+00"},
        {-1, "1969-12-31 23:59:59.999999+00"},
        {-1000000, "1969-12-31 23:59:59.000000+00"},
        {INT64_C(951782400000000), "2000-02-29 00:00:00.000000+00"},
        {INT64_C(1700000000123456), "2023-11-14 22:13:20.123456+00"},
        {INT64_C(253402300799999999), "9999-12-31 23:59:59.999999+00"},
        {INT64_C(253402300800000000), "10000-01-01 00:00:00.000000+00"},
        {INT64_MAX, "infinity"},
        {INT64_MIN, "-infinity"},
    };
    char text[DB_TIME_BYTES];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_string_equal(db_time_text(text, table[i].at_us), table[i].text);
}

/* ---- Errors ---- */

static void test_sqlstates(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum err_code code;
    } table[] = {
        {"08006", ERR_TEMPORARY}, {"08003", ERR_TEMPORARY}, {"25006", ERR_TEMPORARY},
        {"40001", ERR_TEMPORARY}, {"40P01", ERR_TEMPORARY}, {"53300", ERR_TEMPORARY},
        {"53100", ERR_TEMPORARY}, {"55P03", ERR_TEMPORARY}, {"57014", ERR_TEMPORARY},
        {"57P01", ERR_TEMPORARY}, {"57P03", ERR_TEMPORARY}, {"58030", ERR_TEMPORARY},
        {"28P01", ERR_CONFIG},    {"28000", ERR_CONFIG},    {"3D000", ERR_CONFIG},
        {"3F000", ERR_CONFIG},    {"42501", ERR_CONFIG},    {"42P01", ERR_CONFIG},
        {"42883", ERR_CONFIG},    {"42703", ERR_CONFIG},    {"23505", ERR_PERMANENT},
        {"22P02", ERR_PERMANENT}, {"42601", ERR_PERMANENT}, {"P0001", ERR_PERMANENT},
        {"ER001", ERR_PERMANENT}, {"XX000", ERR_PERMANENT}, {"55000", ERR_PERMANENT},
        {"25001", ERR_PERMANENT}, {"", ERR_PERMANENT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(db_sqlstate_code(table[i].sqlstate), table[i].code);
}

/* A failure that the server did not name is one of the connection. */
static void test_error_without_sqlstate(void **state)
{
    (void)state;
    struct err err = {0};
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);
    db_error_from_result(&err, result);
    assert_int_equal(err.code, ERR_TEMPORARY);
    assert_string_equal(err.sqlstate, "");
    PQclear(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params_are_copied),
        cmocka_unit_test(test_many_statements),
        cmocka_unit_test(test_results_are_the_units),
        cmocka_unit_test(test_integers_of_every_size),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_times_as_text),
        cmocka_unit_test(test_sqlstates),
        cmocka_unit_test(test_error_without_sqlstate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
