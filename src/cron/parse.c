/* cron_parse: an expression's text as a struct cron. */
#include "cron/cron.h"
#include "cron/days.h"
#include "cron/field.h"
#include "cron/quote.h"

#include <string.h>

enum { FIELDS_MIN = 5, FIELDS_MAX = 6, EVERY_DAYS_MAX = 366 };

static const struct nickname {
    const char *name, *meaning;
} nicknames[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct piece trim(struct piece piece)
{
    while (piece.length > 0 && is_blank(*piece.at)) {
        piece.at++;
        piece.length--;
    }
    while (piece.length > 0 && is_blank(piece.at[piece.length - 1]))
        piece.length--;
    return piece;
}

/* The next word of *rest, which is shortened by it; empty at the end. */
static struct piece take_word(struct piece *rest)
{
    *rest = trim(*rest);
    struct piece word = {rest->at, 0};
    while (word.length < rest->length && !is_blank(word.at[word.length]))
        word.length++;
    rest->at += word.length;
    rest->length -= word.length;
    return word;
}

/* ---- @every ---- */

static bool refuse_duration(struct piece text, struct err *err)
{
    struct quote quote;
    return err_set(err, ERR_CONFIG,
                   "cron: @every %s is no duration from 1s to 366d, such as 90s, 5m, 1h30m or 2d",
                   quote_text(&quote, text.at, text.length));
}

/* Numbers with units, each unit once, the larger before the smaller. */
static bool parse_every(struct cron *cron, struct piece text, struct err *err)
{
    static const char units[] = "dhms";
    static const int seconds[] = {86400, 3600, 60, 1};
    int64_t total_s = 0, number = -1;
    size_t unit = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.at[i];
        if (c >= '0' && c <= '9') {
            number = (number < 0 ? 0 : number * 10) + (c - '0');
            if (number > EVERY_DAYS_MAX * INT64_C(86400))
                return refuse_duration(text, err);
            continue;
        }
        const char *found = c && unit < 4 ? strchr(units + unit, c) : NULL;
        if (!found || number < 0)
            return refuse_duration(text, err);
        total_s += number * seconds[found - units];
        unit = (size_t)(found - units) + 1;
        number = -1;
    }
    if (number >= 0 || total_s < 1 || total_s > EVERY_DAYS_MAX * INT64_C(86400))
        return refuse_duration(text, err);
    cron->every_us = total_s * 1000000;
    return true;
}

/* ---- Fields ---- */

static bool parse_item(struct cron *cron, enum field field, struct piece item, struct err *err)
{
    uint64_t mask = 0;
    if (field == FIELD_MONTH_DAY || field == FIELD_WEEKDAY)
        return days_item(&cron->days, field, item, err);
    if (!field_item(field, item, &mask, err))
        return false;
    if (field == FIELD_SECOND)
        cron->seconds |= mask;
    else if (field == FIELD_MINUTE)
        cron->minutes |= mask;
    else if (field == FIELD_HOUR)
        cron->hours |= (uint32_t)mask;
    else
        cron->months |= (uint16_t)mask;
    return true;
}

static bool parse_field(struct cron *cron, enum field field, struct piece text, struct err *err)
{
    struct piece item, rest = text;
    bool any = piece_is(text, "*") || piece_is(text, "?"), more;
    if (field == FIELD_MONTH_DAY && any)
        cron->days.month_day_any = true;
    else if (field == FIELD_WEEKDAY && any)
        cron->days.weekday_any = true;
    else
        any = false;
    if (field <= FIELD_HOUR && (piece_has(text, '*') || piece_has(text, '/')))
        cron->interval = true;
    if (any)
        return true;
    do {
        more = piece_cut(rest, ',', &item, &rest);
        if (!more)
            item = rest;
        if (item.length == 0 && text.length > 0) {
            struct quote quote;
            return err_set(err, ERR_CONFIG, "cron: %s %s: a value is missing beside a comma",
                           field_name(field), quote_text(&quote, text.at, text.length));
        }
        if (!parse_item(cron, field, item, err))
            return false;
    } while (more);
    return true;
}

static bool parse_fields(struct cron *cron, struct piece text, struct err *err)
{
    struct quote quote;
    struct piece words[FIELDS_MAX], rest = text, word;
    size_t count = 0;
    while ((word = take_word(&rest)).length > 0) {
        if (count < FIELDS_MAX)
            words[count] = word;
        count++;
    }
    if (count < FIELDS_MIN || count > FIELDS_MAX)
        return err_set(err, ERR_CONFIG,
                       "cron: %s has %zu field%s, not 5 (minute, hour, day of month, month, day of "
                       "week) or 6 (second first)",
                       quote_text(&quote, text.at, text.length), count, count == 1 ? "" : "s");
    if (count == FIELDS_MIN)
        cron->seconds = 1;
    for (size_t i = 0; i < count; i++)
        if (!parse_field(cron, (enum field)(FIELD_COUNT - count + i), words[i], err))
            return false;
    days_spread(cron);
    if (!days_exist(cron))
        return err_set(err, ERR_CONFIG,
                       "cron: %s never fires: no month that it names has such a day",
                       quote_text(&quote, text.at, text.length));
    return true;
}

static bool parse_nickname(struct cron *cron, struct piece text, struct err *err)
{
    struct quote quote;
    struct piece rest = text, name = take_word(&rest);
    rest = trim(rest);
    if (piece_is(name, "@every"))
        return parse_every(cron, rest, err);
    for (size_t i = 0; rest.length == 0 && i < sizeof nicknames / sizeof *nicknames; i++)
        if (piece_is(name, nicknames[i].name)) {
            const char *meaning = nicknames[i].meaning;
            return parse_fields(cron, (struct piece){meaning, strlen(meaning)}, err);
        }
    return err_set(err, ERR_CONFIG,
                   "cron: %s is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, "
                   "@hourly and @every DURATION",
                   quote_text(&quote, text.at, text.length));
}

static bool has_control_character(struct piece piece)
{
    for (size_t i = 0; i < piece.length; i++)
        if ((unsigned char)piece.at[i] < ' ' && piece.at[i] != '\t')
            return true;
    return false;
}

bool cron_parse(struct cron *cron, const char *text, struct err *err)
{
    struct piece piece = {text, strnlen(text, CRON_TEXT_MAX_BYTES + 1)};
    memset(cron, 0, sizeof *cron);
    if (piece.length > CRON_TEXT_MAX_BYTES)
        return err_set(err, ERR_CONFIG, "cron: the expression is longer than %d bytes",
                       CRON_TEXT_MAX_BYTES);
    if (has_control_character(piece))
        return err_set(err, ERR_CONFIG,
                       "cron: the expression holds a line end or another control character");
    piece = trim(piece);
    return piece.length > 0 && *piece.at == '@' ? parse_nickname(cron, piece, err)
                                                : parse_fields(cron, piece, err);
}
