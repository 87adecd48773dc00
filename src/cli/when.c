#include "cli/when.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const long long when_most_ms = 10LL * 366 * 86400 * 1000;

static long long when_unit_ms(const char **text)
{
    static const struct {
        const char *name;
        long long ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t length = strlen(units[i].name);
        if (strncmp(*text, units[i].name, length) == 0) {
            *text += length;
            return units[i].ms;
        }
    }
    return 0;
}

bool when_parse_duration(const char *text, long long *ms)
{
    *ms = 0;
    if (!*text)
        return false;
    while (*text) {
        char *end;
        errno = 0;
        long long count = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
        if (count < 0 || errno != 0 || count > when_most_ms)
            return false;
        text = end;
        long long unit = when_unit_ms(&text);
        if (unit == 0 || count > (when_most_ms - *ms) / unit)
            return false;
        *ms += count * unit;
    }
    return true;
}

bool when_parse_distance(const char *text, long long *ms)
{
    if ((*text != '+' && *text != '-') || !when_parse_duration(text + 1, ms))
        return false;
    if (*text == '-')
        *ms = -*ms;
    return true;
}

void when_print_seconds(char text[WHEN_SECONDS_BYTES], long long ms)
{
    long long distance = ms < 0 ? -ms : ms;
    snprintf(text, WHEN_SECONDS_BYTES, "%s%lld.%03lld", ms < 0 ? "-" : "", distance / 1000,
             distance % 1000);
}

void when_set(struct when *when, const char *text)
{
    long long ms;
    *when = (struct when){.at = text};
    if (!text || !when_parse_distance(text, &ms))
        return;
    when_print_seconds(when->seconds, ms);
    when->at = NULL;
    when->from_now = when->seconds;
}
