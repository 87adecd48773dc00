/* A unit: statements that go to the database together, in one round trip, and end together. With
 * DB_TRANSACTION they stand between BEGIN and COMMIT. It is done once, when the server has
 * confirmed the whole, or with an error. */
#ifndef DB_UNIT_H
#define DB_UNIT_H

#include "base/arena.h"
#include "base/err.h"

#include <errand/errand.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum db_flags {
    DB_PLAIN = 0,
    DB_TRANSACTION = 1 /* BEGIN before, COMMIT behind */
};

struct db_statement {
    const struct errand_statement *statement;
    int count;
    const char **params; /* texts; NULL is SQL NULL */
    int *lengths;        /* NULL: all are texts; else of those in binary form, as formats says */
    int *formats;
    bool binary;      /* results in PostgreSQL's binary form */
    PGresult *result; /* owned by the unit */
};

struct db_unit {
    struct db_unit *next; /* in the pool's queue */
    enum db_flags flags;
    bool impatient; /* ends with ERR_TEMPORARY as soon as no connection stands and an attempt to
                       make one fails, rather than at its deadline; may be set */
    int64_t deadline_us; /* monotonic */
    int64_t sent_us, received_us;
    struct arena arena;
    struct db_statement *statements;
    size_t count, capacity;
    struct err err;                                     /* the first error */
    void (*on_done)(struct db_unit *unit, void *owner); /* the unit is freed when this returns */
    /* What the server has to say meanwhile (RAISE NOTICE, WARNING ...), as it comes; NULL: not
     * wanted. */
    void (*on_notice)(void *owner, bool is_warning, const char *text);
    void *owner;
};

/* on_done may be called with err.code set: ERR_UNKNOWN_OUTCOME when the unit was sent and no
 * confirmation came. */
struct db_unit *db_unit_new(enum db_flags flags, void (*on_done)(struct db_unit *unit, void *owner),
                            void *owner);
void db_unit_free(struct db_unit *unit);

/* Adds a statement; params are copied. */
void db_unit_add(struct db_unit *unit, const struct errand_statement *statement, size_t count,
                 const char *const *params);
void db_unit_add_binary(struct db_unit *unit, const struct errand_statement *statement,
                        size_t count, const char *const *params);

/* As these, with parameters of which some are in PostgreSQL's binary form: lengths[i] is its length
 * then, and 0 for a text. */
void db_unit_add_mixed(struct db_unit *unit, const struct errand_statement *statement, size_t count,
                       const char *const *params, const int *lengths, bool binary_result);

/* The i-th statement's result; only when err.code is ERR_NONE. */
const PGresult *db_unit_result(const struct db_unit *unit, size_t i);

/* A failed result as an error. The one place where SQLSTATEs are read. */
void db_error_from_result(struct err *err, const PGresult *result);
enum err_code db_sqlstate_code(const char *sqlstate);
/* The class of the error for retry policies: "sql.23505", or "sql" where the server said none. */
enum { DB_CLASS_BYTES = 10 };
const char *db_error_class(const struct err *err, char class[DB_CLASS_BYTES]);

/* PostgreSQL counts microseconds from 2000-01-01: that, since 1970. */
#define DB_EPOCH_US (INT64_C(946684800) * 1000000)

/* Values of a binary result. A timestamptz comes as microseconds since 1970 (infinities as
 * INT64_MIN/MAX). */
/* int2, int4, int8, bool; 0 for null. */
int64_t db_get_int(const PGresult *result, int row, int column);
int64_t db_get_time_us(const PGresult *result, int row, int column);

#endif
