#include "db/unit.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <ctype.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct db_unit *db_unit_new(enum db_flags flags, void (*on_done)(struct db_unit *unit, void *owner),
                            void *owner)
{
    struct db_unit *unit = mem_zalloc(sizeof *unit);
    arena_init(&unit->arena);
    unit->flags = flags;
    unit->on_done = on_done;
    unit->owner = owner;
    return unit;
}

void db_unit_free(struct db_unit *unit)
{
    for (size_t i = 0; i < unit->count; i++)
        PQclear(unit->statements[i].result);
    free(unit->statements);
    arena_clear(&unit->arena);
    free(unit);
}

static struct db_statement *unit_add(struct db_unit *unit, const struct errand_statement *statement,
                                     size_t count, const char *const *params)
{
    if (unit->count == unit->capacity) {
        unit->capacity = unit->capacity ? 2 * unit->capacity : 4;
        unit->statements = mem_resize(unit->statements, unit->capacity * sizeof *unit->statements);
    }
    struct db_statement *added = &unit->statements[unit->count++];
    *added = (struct db_statement){.statement = statement, .count = (int)count};
    added->params = arena_alloc(&unit->arena, (count + 1) * sizeof *added->params);
    for (size_t i = 0; params && i < count; i++)
        added->params[i] = params[i] ? arena_strdup(&unit->arena, params[i]) : NULL;
    return added;
}

void db_unit_add(struct db_unit *unit, const struct errand_statement *statement, size_t count,
                 const char *const *params)
{
    unit_add(unit, statement, count, params);
}

void db_unit_add_binary(struct db_unit *unit, const struct errand_statement *statement,
                        size_t count, const char *const *params)
{
    unit_add(unit, statement, count, params)->binary = true;
}

void db_unit_add_mixed(struct db_unit *unit, const struct errand_statement *statement, size_t count,
                       const char *const *params, const int *lengths, bool binary_result)
{
    struct db_statement *added = unit_add(unit, statement, count, NULL);
    added->binary = binary_result;
    added->lengths = arena_zalloc(&unit->arena, (count + 1) * sizeof *added->lengths);
    added->formats = arena_zalloc(&unit->arena, (count + 1) * sizeof *added->formats);
    for (size_t i = 0; i < count; i++) {
        if (!lengths[i]) {
            added->params[i] = params[i] ? arena_strdup(&unit->arena, params[i]) : NULL;
            continue;
        }
        char *copy = arena_alloc(&unit->arena, (size_t)lengths[i]);
        added->params[i] = memcpy(copy, params[i], (size_t)lengths[i]);
        added->lengths[i] = lengths[i];
        added->formats[i] = 1;
    }
}

const PGresult *db_unit_result(const struct db_unit *unit, size_t i)
{
    assert(unit->err.code == ERR_NONE && i < unit->count);
    return unit->statements[i].result;
}

enum err_code db_sqlstate_code(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        enum err_code code;
    } table[] = {
        {"08", ERR_TEMPORARY},    /* connection */
        {"25006", ERR_TEMPORARY}, /* read-only: a standby, or a failover under way */
        {"40", ERR_TEMPORARY},    /* serialization, deadlock */
        {"53", ERR_TEMPORARY},    /* resources */
        {"55P03", ERR_TEMPORARY}, /* lock not available */
        {"55006", ERR_TEMPORARY}, /* object in use */
        {"57", ERR_TEMPORARY},    /* operator intervention: cancel, shutdown, statement_timeout */
        {"58", ERR_TEMPORARY},    /* system: disk */
        {"28", ERR_CONFIG},       /* who is asking */
        {"3D", ERR_CONFIG},       /* no such database */
        {"3F", ERR_CONFIG},       /* no such schema */
        {"42501", ERR_CONFIG},    /* not allowed */
        {"42P01", ERR_CONFIG},    /* no such table */
        {"42883", ERR_CONFIG},    /* no such function */
        {"42703", ERR_CONFIG},    /* no such column */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strncmp(sqlstate, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].code;
    return ERR_PERMANENT;
}

void db_error_from_result(struct err *err, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    if (!message)
        message = PQresultErrorMessage(result);
    err_set(err, sqlstate ? db_sqlstate_code(sqlstate) : ERR_TEMPORARY, "%s%s%s%s", message,
            detail ? " (" : "", detail ? detail : "", detail ? ")" : "");
    for (char *at = err->text; *at; at++)
        if (*at == '\n')
            *at = ' ';
    if (sqlstate)
        snprintf(err->sqlstate, sizeof err->sqlstate, "%.5s", sqlstate);
}

const char *db_error_class(const struct err *err, char class[DB_CLASS_BYTES])
{
    snprintf(class, DB_CLASS_BYTES, err->sqlstate[0] ? "sql.%.5s" : "sql", err->sqlstate);
    for (char *at = class; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return class;
}

int64_t db_get_int(const PGresult *result, int row, int column)
{
    const char *data = PQgetvalue(result, row, column);
    int length = PQgetlength(result, row, column);
    uint64_t eight;
    uint32_t four;
    uint16_t two;
    switch (length) {
    case 8:
        memcpy(&eight, data, 8);
        return (int64_t)be64toh(eight);
    case 4:
        memcpy(&four, data, 4);
        return (int32_t)be32toh(four);
    case 2:
        memcpy(&two, data, 2);
        return (int16_t)be16toh(two);
    default:
        return length == 1 ? data[0] : 0;
    }
}

int64_t db_get_time_us(const PGresult *result, int row, int column)
{
    int64_t at_us = db_get_int(result, row, column);
    if (at_us == INT64_MIN || at_us > INT64_MAX - DB_EPOCH_US)
        return at_us == INT64_MIN ? INT64_MIN : INT64_MAX;
    return at_us + DB_EPOCH_US;
}
