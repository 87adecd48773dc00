/* One field of a cron expression: numbers, names, ranges, steps. What only the two day fields know
 * (L, W, #) is in days.h. */
#ifndef CRON_FIELD_H
#define CRON_FIELD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field {
    FIELD_SECOND,
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_MONTH_DAY,
    FIELD_MONTH,
    FIELD_WEEKDAY,
    FIELD_COUNT
};

/* A part of the expression's text. */
struct piece {
    const char *at;
    size_t length;
};

bool piece_is(struct piece piece, const char *word); /* in upper or lower case */
bool piece_has(struct piece piece, char c);
bool piece_number(struct piece piece, int least, int most,
                  int *value); /* digits alone, at most 4 */
/* Cuts off what stands before the first c; *rest is what stands behind it. False: there is no c. */
bool piece_cut(struct piece piece, char c, struct piece *before, struct piece *rest);

/* A number or a name; Sunday is 0 or 7. */
bool field_value(enum field field, struct piece piece, int *value);

/* One item of a field's list: *, a, a-b, each with or without /step. Adds its bits to *mask. */
bool field_item(enum field field, struct piece item, uint64_t *mask, struct err *err);

/* The error: value, which is the item or stands in it, is not what the field allows. */
bool field_refuse(enum field field, struct piece value, struct piece item, struct err *err);
const char *field_name(enum field field);

#endif
