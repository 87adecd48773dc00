#include "cron/field.h"

#include "cron/quote.h"

#include <string.h>
#include <strings.h>

enum { NUMBER_DIGITS = 4 };

struct field_kind {
    const char *name;
    int least, most; /* of what may be written */
    int size;        /* how many there are */
    const char *const *names;
    int names_from, names_count;
    const char *allowed;
};

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

static const struct field_kind kinds[FIELD_COUNT] = {
    [FIELD_SECOND] = {"second", 0, 59, 60, NULL, 0, 0, "0-59"},
    [FIELD_MINUTE] = {"minute", 0, 59, 60, NULL, 0, 0, "0-59"},
    [FIELD_HOUR] = {"hour", 0, 23, 24, NULL, 0, 0, "0-23"},
    [FIELD_MONTH_DAY] = {"day of month", 1, 31, 31, NULL, 0, 0,
                         "1-31, L, L-1 to L-30, LW or 1W to 31W"},
    [FIELD_MONTH] = {"month", 1, 12, 12, month_names, 1, 12, "1-12 or JAN-DEC"},
    [FIELD_WEEKDAY] = {"day of week", 0, 7, 7, weekday_names, 0, 7,
                       "0-7 (0 and 7 are Sunday), SUN-SAT, 0L to 7L or 0#1 to 7#5"},
};

/* ---- Pieces ---- */

bool piece_is(struct piece piece, const char *word)
{
    return strlen(word) == piece.length && strncasecmp(piece.at, word, piece.length) == 0;
}

bool piece_has(struct piece piece, char c)
{
    return memchr(piece.at, c, piece.length) != NULL;
}

bool piece_number(struct piece piece, int least, int most, int *value)
{
    int number = 0;
    if (piece.length == 0 || piece.length > NUMBER_DIGITS)
        return false;
    for (size_t i = 0; i < piece.length; i++) {
        if (piece.at[i] < '0' || piece.at[i] > '9')
            return false;
        number = number * 10 + (piece.at[i] - '0');
    }
    *value = number;
    return number >= least && number <= most;
}

bool piece_cut(struct piece piece, char c, struct piece *before, struct piece *rest)
{
    const char *at = memchr(piece.at, c, piece.length);
    if (!at)
        return false;
    *before = (struct piece){piece.at, (size_t)(at - piece.at)};
    *rest = (struct piece){at + 1, piece.length - before->length - 1};
    return true;
}

/* ---- Errors ---- */

const char *field_name(enum field field)
{
    return kinds[field].name;
}

bool field_refuse(enum field field, struct piece value, struct piece item, struct err *err)
{
    const struct field_kind *kind = &kinds[field];
    struct quote one, other;
    if (value.length == 0)
        value = item;
    if (value.length == item.length)
        return err_set(err, ERR_CONFIG, "cron: %s %s is not %s", kind->name,
                       quote_text(&one, value.at, value.length), kind->allowed);
    return err_set(err, ERR_CONFIG, "cron: %s %s in %s is not %s", kind->name,
                   quote_text(&one, value.at, value.length),
                   quote_text(&other, item.at, item.length), kind->allowed);
}

/* ---- Values ---- */

bool field_value(enum field field, struct piece piece, int *value)
{
    const struct field_kind *kind = &kinds[field];
    for (int i = 0; i < kind->names_count; i++)
        if (piece_is(piece, kind->names[i])) {
            *value = kind->names_from + i;
            return true;
        }
    return piece_number(piece, kind->least, kind->most, value);
}

/* From one to the other, past the end of the field to its beginning if need be. Sunday as 7 comes
 * out as 0. */
static uint64_t range_mask(const struct field_kind *kind, int from, int to, int step)
{
    uint64_t mask = 0;
    int count = to >= from ? to - from : to - from + kind->size;
    for (int i = 0; i <= count; i += step)
        mask |= UINT64_C(1) << (kind->least + (from - kind->least + i) % kind->size);
    return mask;
}

bool field_item(enum field field, struct piece item, uint64_t *mask, struct err *err)
{
    const struct field_kind *kind = &kinds[field];
    struct piece range = item, step_text, first, last;
    int from = kind->least, to = kind->least + kind->size - 1, step = 1;
    bool stepped = piece_cut(item, '/', &range, &step_text);
    if (stepped && !piece_number(step_text, 1, kind->size, &step)) {
        struct quote quote;
        return err_set(err, ERR_CONFIG, "cron: %s %s: the step after / is not 1-%d", kind->name,
                       quote_text(&quote, item.at, item.length), kind->size);
    }
    if (piece_is(range, "*")) {
        *mask |= range_mask(kind, from, to, step);
        return true;
    }
    bool is_range = piece_cut(range, '-', &first, &last);
    if (!is_range)
        first = range;
    if (!field_value(field, first, &from))
        return field_refuse(field, first, item, err);
    if (is_range && !field_value(field, last, &to))
        return field_refuse(field, last, item, err);
    if (!is_range && !stepped)
        to = from;
    if (!is_range && from > to)
        from = kind->least; /* 7/2: Sunday */
    *mask |= range_mask(kind, from, to, step);
    return true;
}
