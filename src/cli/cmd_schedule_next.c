/* errand schedule next EXPR | NAME: when it fires. An expression needs no database. */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cron/civil.h"
#include "cron/cron.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command_flag cmd_schedule_next_flags[] = {
    {"n", "N", "so many fire times (default 5, at most 1000)"},
    {"tz", "ZONE", "of an expression: its time zone (default UTC); of a schedule: to show it in"},
    {NULL, NULL, NULL},
};

enum { TIME_BYTES = 48 };

struct next {
    struct cron cron;
    char *text, *zone_name;
    struct zone *zone, *shown; /* shown: NULL is zone */
    int64_t starts_us, ends_us, after_us;
};

static void next_clear(struct next *next)
{
    free(next->text);
    free(next->zone_name);
    zone_free(next->zone);
    zone_free(next->shown);
}

static void time_text(char text[TIME_BYTES], int64_t at_us, const struct zone *zone)
{
    int64_t at_s = at_us / 1000000;
    int32_t offset_s = zone ? zone_offset_s(zone, at_s) : 0;
    int64_t local_s = at_s + offset_s, day = civil_day_of_seconds(local_s);
    int second = (int)(local_s - day * CIVIL_DAY_S), ahead = abs(offset_s) / 60;
    struct civil date = civil_of_days(day);
    char offset[16] = "Z";
    if (zone && offset_s)
        snprintf(offset, sizeof offset, "%c%02d:%02d", offset_s < 0 ? '-' : '+', ahead / 60,
                 ahead % 60);
    snprintf(text, TIME_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d%s", date.year, date.month, date.day,
             second / 3600, second / 60 % 60, second % 60, offset);
}

static int64_t next_after(const struct next *next, int64_t after_us)
{
    if (next->starts_us != INT64_MIN && after_us < next->starts_us)
        after_us = next->starts_us - 1;
    int64_t at_us = cron_next(&next->cron, next->zone, after_us);
    return at_us < next->ends_us ? at_us : CRON_NEVER;
}

static void next_print_json(const struct next *next, long long count)
{
    struct buf line, words;
    char at[TIME_BYTES], utc[TIME_BYTES];
    buf_init(&line, 0);
    buf_init(&words, 0);
    cron_describe(&next->cron, &words);
    buf_add_text(&line, "{\"cron\": \"");
    str_escape(&line, next->text, strlen(next->text));
    buf_printf(&line, "\", \"timezone\": \"%s\", \"description\": \"", next->zone_name);
    str_escape(&line, buf_text(&words), words.length);
    buf_add_text(&line, "\", \"next\": [");
    int64_t at_us = next->after_us;
    for (long long i = 0; i < count && (at_us = next_after(next, at_us)) != CRON_NEVER; i++) {
        time_text(at, at_us, next->shown ? next->shown : next->zone);
        time_text(utc, at_us, NULL);
        buf_printf(&line, "%s{\"at\": \"%s\", \"utc\": \"%s\"}", i ? ", " : "", at, utc);
    }
    printf("%s]}\n", buf_text(&line));
    buf_clear(&line);
    buf_clear(&words);
}

static void next_print(const struct next *next, long long count)
{
    char at[TIME_BYTES], utc[TIME_BYTES];
    struct buf words;
    buf_init(&words, 0);
    cron_describe(&next->cron, &words);
    printf("%s (%s)\n", buf_text(&words), next->zone_name);
    buf_clear(&words);
    int64_t at_us = next->after_us;
    for (long long i = 0; i < count && (at_us = next_after(next, at_us)) != CRON_NEVER; i++) {
        time_text(at, at_us, next->shown ? next->shown : next->zone);
        time_text(utc, at_us, NULL);
        printf("%s\t%s\n", at, utc);
    }
    if (at_us == CRON_NEVER)
        puts("and no more");
}

static int64_t rows_us(const struct session_rows *rows, size_t column, int64_t none_us)
{
    const char *text = session_rows_text(rows, 0, column);
    return text ? strtoll(text, NULL, 10) : none_us;
}

/* Of a schedule: its times follow from what the database holds. */
static bool next_read(struct next *next, const struct cli *cli, int *status)
{
    struct session *session;
    struct session_rows *rows;
    char message[160];
    const struct ask ask = {CLI_SQL_SCHEDULE_TIMES, 1, cli->args, "cannot read the schedule"};
    if (!cli_connect(cli, &session, status))
        return false;
    bool ok = ask_rows(cli, session, &ask, &rows, status);
    session_close(session);
    if (!ok)
        return false;
    if (session_rows_count(rows) == 0) {
        snprintf(message, sizeof message, "there is no schedule %.100s, and it is no expression",
                 cli->args[0]);
        *status = failure_tell(cli, FAILURE_NOT_FOUND, message,
                               "`errand schedule list` lists the schedules.");
        session_rows_free(rows);
        return false;
    }
    next->text = strdup(session_rows_text(rows, 0, 0));
    next->zone_name = strdup(session_rows_text(rows, 0, 1));
    next->starts_us = rows_us(rows, 2, INT64_MIN);
    next->ends_us = rows_us(rows, 3, INT64_MAX);
    int64_t last_us = rows_us(rows, 4, INT64_MIN);
    next->after_us = rows_us(rows, 5, 0);
    if (last_us > next->after_us)
        next->after_us = last_us;
    session_rows_free(rows);
    return true;
}

/* What has blanks or begins with @ was meant as an expression. */
static bool next_find(struct next *next, const struct cli *cli, int *status)
{
    const char *text = cli->args[0], *zone = cli_flag(cli, "tz");
    struct err err = {0};
    bool parsed = cron_parse(&next->cron, text, &err);
    if (!parsed && !strpbrk(text, " \t@*"))
        return next_read(next, cli, status);
    next->text = strdup(text);
    next->zone_name = strdup(zone ? zone : "UTC");
    next->after_us = clock_wall_us();
    if (!parsed)
        *status = failure_usage(cli, "docs/schedules.md says what an expression may hold.", "%s",
                                err.text);
    return parsed;
}

int cmd_schedule_next(struct cli *cli)
{
    struct next next = {.starts_us = INT64_MIN, .ends_us = INT64_MAX};
    struct err err = {0};
    int status = FAILURE_OK;
    const char *n = cli_flag(cli, "n"), *shown = cli_flag(cli, "tz");
    if (!cli_number(cli, "-n", n, 1, 1000))
        return FAILURE_USAGE;
    if (!next_find(&next, cli, &status)) {
        next_clear(&next);
        return status;
    }
    next.zone = zone_new(NULL, next.zone_name, &err);
    if (shown && next.zone)
        next.shown = zone_new(NULL, shown, &err);
    if (!next.zone || (shown && !next.shown) || !cron_parse(&next.cron, next.text, &err)) {
        status = failure_usage(cli, "", "%s", err.text);
    } else {
        if (next.starts_us != INT64_MIN)
            next.cron.anchor_us = next.starts_us;
        (cli->json ? next_print_json : next_print)(&next, n ? atoll(n) : 5);
    }
    next_clear(&next);
    return status;
}
