#include "cron/days.h"

#include "cron/quote.h"

enum { LENGTH_MIN = 28, FEBRUARY = 2, LAST_BACK_MAX = 30, NTH_MAX = 5, SATURDAY = 6 };

/* ---- Reading ---- */

static bool ends_with(struct piece piece, char upper)
{
    return piece.length > 0 && (piece.at[piece.length - 1] | 0x20) == (upper | 0x20);
}

static struct piece without_last(struct piece piece)
{
    return (struct piece){piece.at, piece.length - 1};
}

static bool month_day_item(struct cron_days *days, struct piece item, struct err *err)
{
    struct piece before, after;
    int number;
    if (piece_is(item, "L")) {
        days->before_last |= 1;
    } else if (piece_is(item, "LW")) {
        days->last_workday = true;
    } else if (piece_cut(item, '-', &before, &after) && piece_is(before, "L")) {
        if (!piece_number(after, 1, LAST_BACK_MAX, &number))
            return field_refuse(FIELD_MONTH_DAY, item, item, err);
        days->before_last |= 1U << number;
    } else if (ends_with(item, 'W')) {
        if (!field_value(FIELD_MONTH_DAY, without_last(item), &number))
            return field_refuse(FIELD_MONTH_DAY, item, item, err);
        days->nearest |= 1U << number;
    } else {
        uint64_t mask = 0;
        if (!field_item(FIELD_MONTH_DAY, item, &mask, err))
            return false;
        days->month_days |= (uint32_t)mask;
    }
    return true;
}

static bool nth_item(struct cron_days *days, struct piece item, struct err *err)
{
    struct piece weekday, nth;
    struct quote quote;
    int number, count;
    piece_cut(item, '#', &weekday, &nth);
    if (!field_value(FIELD_WEEKDAY, weekday, &number))
        return field_refuse(FIELD_WEEKDAY, weekday, item, err);
    if (!piece_number(nth, 1, NTH_MAX, &count))
        return err_set(err, ERR_CONFIG, "cron: day of week %s: what follows # is not 1-5",
                       quote_text(&quote, item.at, item.length));
    days->nth_weekdays[count - 1] |= (uint8_t)(1U << number % 7);
    return true;
}

static bool weekday_item(struct cron_days *days, struct piece item, struct err *err)
{
    int number;
    if (piece_has(item, '#'))
        return nth_item(days, item, err);
    if (ends_with(item, 'L')) {
        if (!field_value(FIELD_WEEKDAY, without_last(item), &number))
            return field_refuse(FIELD_WEEKDAY, item, item, err);
        days->last_weekdays |= (uint8_t)(1U << number % 7);
        return true;
    }
    uint64_t mask = 0;
    if (!field_item(FIELD_WEEKDAY, item, &mask, err))
        return false;
    days->weekdays |= (uint8_t)mask;
    return true;
}

bool days_item(struct cron_days *days, enum field field, struct piece item, struct err *err)
{
    return field == FIELD_WEEKDAY ? weekday_item(days, item, err) : month_day_item(days, item, err);
}

/* ---- The days of a month ---- */

/* A month: how long it is, and the weekday of its first day. */
struct shape {
    int length, first;
};

static int weekday_of(struct shape shape, int day)
{
    return (shape.first + day - 1) % 7;
}

/* Monday to Friday, within the month; 0: the month has no such day. */
static int nearest_workday(struct shape shape, int day)
{
    if (day > shape.length)
        return 0;
    int weekday = weekday_of(shape, day);
    if (weekday == SATURDAY)
        return day == 1 ? day + 2 : day - 1;
    if (weekday == 0)
        return day == shape.length ? day - 2 : day + 1;
    return day;
}

static uint32_t days_of_month_field(const struct cron_days *days, struct shape shape)
{
    uint32_t mask = days->month_days;
    for (int day = 1; day <= shape.length; day++) {
        if (days->before_last >> (shape.length - day) & 1)
            mask |= 1U << day;
        if (days->nearest >> day & 1)
            mask |= 1U << nearest_workday(shape, day);
    }
    if (days->last_workday)
        mask |= 1U << nearest_workday(shape, shape.length);
    return mask;
}

static uint32_t days_of_weekday_field(const struct cron_days *days, struct shape shape)
{
    uint32_t mask = 0;
    for (int day = 1; day <= shape.length; day++) {
        unsigned weekdays = days->weekdays | (unsigned)days->nth_weekdays[(day - 1) / 7];
        if (day + 7 > shape.length)
            weekdays |= days->last_weekdays;
        if (weekdays >> weekday_of(shape, day) & 1)
            mask |= 1U << day;
    }
    return mask;
}

static uint32_t days_of_shape(const struct cron_days *days, struct shape shape)
{
    uint32_t every_day = (uint32_t)((UINT64_C(1) << (shape.length + 1)) - 2);
    uint32_t mask = 0;
    if (days->month_day_any && days->weekday_any)
        mask = every_day;
    if (!days->month_day_any)
        mask |= days_of_month_field(days, shape);
    if (!days->weekday_any)
        mask |= days_of_weekday_field(days, shape);
    return mask & every_day;
}

void days_spread(struct cron *cron)
{
    for (int length = LENGTH_MIN; length <= 31; length++)
        for (int first = 0; first < 7; first++)
            cron->month[length - LENGTH_MIN][first] =
                days_of_shape(&cron->days, (struct shape){length, first});
}

static bool length_has_day(const struct cron *cron, int length)
{
    for (int first = 0; first < 7; first++)
        if (cron->month[length - LENGTH_MIN][first])
            return true;
    return false;
}

/* Every month comes with each of its lengths and each weekday within 40 years. */
bool days_exist(const struct cron *cron)
{
    static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (int month = 1; month <= 12; month++)
        if (cron->months >> month & 1 && (length_has_day(cron, lengths[month - 1]) ||
                                          (month == FEBRUARY && length_has_day(cron, LENGTH_MIN))))
            return true;
    return false;
}
