/* Prints fire times, for tests that compare them with what others compute. Lines of stdin:
 *
 *   START_S <tab> COUNT <tab> ZONE <tab> EXPRESSION
 *
 * One line of stdout for each: the fires after START_S in seconds since 1970, with blanks between
 * them; or "error TEXT". With the argument "spans" the lines are START_S <tab> END_S <tab> ZONE,
 * and the answer is the zone's offsets in between: "FROM_S:OFFSET_S ...". */
#include "cron/cron.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 4, US = 1000000 };

static bool split(char *line, char **parts, int count)
{
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < count; i++) {
        parts[i] = line;
        char *tab = i + 1 < count ? strchr(line, '\t') : NULL;
        if (i + 1 < count && !tab)
            return false;
        if (tab) {
            *tab = '\0';
            line = tab + 1;
        }
    }
    return true;
}

static void print_fires(const struct cron *cron, const struct zone *zone, int64_t after_us,
                        long count)
{
    for (long i = 0; i < count; i++) {
        after_us = cron_next(cron, zone, after_us);
        if (after_us == CRON_NEVER)
            break;
        printf("%s%" PRId64, i > 0 ? " " : "", after_us / US);
    }
    puts("");
}

static void answer_fires(struct zone_set *zones, char **parts)
{
    struct cron cron;
    struct err err;
    const struct zone *zone = zone_set_get(zones, parts[2], &err);
    if (zone && cron_parse(&cron, parts[3], &err))
        print_fires(&cron, zone, strtoll(parts[0], NULL, 10) * US, strtol(parts[1], NULL, 10));
    else
        printf("error %s\n", err.text);
}

static void answer_spans(struct zone_set *zones, char **parts)
{
    struct err err;
    const struct zone *zone = zone_set_get(zones, parts[2], &err);
    int64_t at_s = strtoll(parts[0], NULL, 10), end_s = strtoll(parts[1], NULL, 10);
    if (!zone) {
        printf("error %s\n", err.text);
        return;
    }
    while (at_s < end_s) {
        struct zone_span span = zone_span(zone, at_s);
        printf("%" PRId64 ":%" PRId32 " ", at_s, span.offset_s);
        at_s = span.until_s;
    }
    puts("");
}

int main(int argc, char **argv)
{
    const bool spans = argc > 1 && strcmp(argv[1], "spans") == 0;
    struct zone_set zones;
    char line[1024], *parts[PARTS];
    zone_set_init(&zones, NULL);
    while (fgets(line, sizeof line, stdin)) {
        if (!split(line, parts, spans ? PARTS - 1 : PARTS)) {
            fprintf(stderr, "fires: parts are missing\n");
            return 2;
        }
        if (spans)
            answer_spans(&zones, parts);
        else
            answer_fires(&zones, parts);
    }
    zone_set_clear(&zones);
    return 0;
}
