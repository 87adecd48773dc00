/* One error: what to do now (the code) and what a person needs to know (the text). Fallible
 * functions return bool and take `struct err *` last, never NULL. An error is handed on or logged,
 * never both. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

enum err_code {
    ERR_NONE,
    ERR_TEMPORARY,       /* the same call may succeed later */
    ERR_PERMANENT,       /* it never will */
    ERR_CONFIG,          /* a person must change a setting, a grant, a schema */
    ERR_CANCELLED,       /* somebody asked for it to end */
    ERR_UNKNOWN_OUTCOME, /* it may or may not have happened: read back before acting */
    ERR_BUG              /* ours */
};

enum { ERR_TEXT_BYTES = 512 };

struct err {
    enum err_code code;
    char sqlstate[6]; /* five characters when PostgreSQL said it, else empty */
    char text[ERR_TEXT_BYTES];
};

void err_clear(struct err *err);

/* Sets code and text (cut at ERR_TEXT_BYTES - 1 on a character boundary); returns false, so that
 * `return err_set(...)` ends a function. */
bool err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool err_vset(struct err *err, enum err_code code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Puts "what: " before the text; returns false. */
bool err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *err_code_name(enum err_code code);

#endif
