/* errand kind list | pause | resume | limit | keep | retry. What changes a kind prints it as it is
 * then. */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/limit.h"
#include "cli/when.h"

#include <stdio.h>
#include <string.h>

const struct command_flag cmd_kind_retry_flags[] = {
    {"policy", "POLICY", "exponential, fixed, list, never or reset"},
    {"delays", "TIME[,TIME]", "1s,5m"},
    {"error-class", "CLASS", "for this class alone: timeout, lost, or what the handler names"},
    {"max-attempts", "N", "1 to 1000 for this class (default: the job's)"},
    {NULL, NULL, NULL},
};

static const char *const kind_headings[] = {"kind",       "queue", "runners", "attempts", "timeout",
                                            "concurrent", "keep",  "state",   "settings"};
static const struct table_shape kind_table = {kind_headings, 9, 0xfc, true};

int cmd_kind_list(struct cli *cli)
{
    const char *const params[] = {NULL};
    return ask_list(cli, &(struct ask){CLI_SQL_KIND_LIST, 1, params, "cannot list the kinds"},
                    &kind_table);
}

static int kind_change(const struct cli *cli, enum cli_sql statement, size_t count,
                       const char *const *params, const char *what)
{
    return ask_change(cli, &(struct ask){statement, count, params, what},
                      &(struct ask){CLI_SQL_KIND_LIST, 1, cli->args, "cannot list the kinds"},
                      &kind_table);
}

int cmd_kind_pause(struct cli *cli)
{
    struct when until;
    when_set(&until, cli_flag(cli, "until"));
    const char *const params[] = {cli->args[0], cli_flag(cli, "reason"), until.at, until.from_now};
    return kind_change(cli, CLI_SQL_KIND_PAUSE, 4, params, "cannot pause the kind");
}

int cmd_kind_resume(struct cli *cli)
{
    return kind_change(cli, CLI_SQL_KIND_RESUME, 1, cli->args, "cannot resume the kind");
}

int cmd_kind_limit(struct cli *cli)
{
    char number[LIMIT_BYTES];
    const char *const params[] = {cli->args[0], number};
    if (!limit_parse_count(cli->args[1], number))
        return failure_usage(cli, "",
                             "N is '%.80s'; it takes a whole number up to 100000, 0 or none lifts "
                             "the limit",
                             cli->args[1]);
    return kind_change(cli, CLI_SQL_KIND_LIMIT, 2, params, "cannot limit the kind");
}

int cmd_kind_keep(struct cli *cli)
{
    static const char *const words[] = {"all", "errors", "none"};
    if (!cli_word(cli, "what to keep", cli->args[1], words, 3))
        return FAILURE_USAGE;
    return kind_change(cli, CLI_SQL_KIND_KEEP, 2, cli->args, "cannot set what is kept");
}

/* ---- Retries ---- */

/* "1s,5m" as an array of seconds. */
static bool retry_delays(const char *text, struct buf *array, size_t *count)
{
    buf_array_open(array);
    for (*count = 0; text; ++*count) {
        char one[64], seconds[WHEN_SECONDS_BYTES];
        long long ms;
        size_t length = strcspn(text, ",");
        if (length >= sizeof one)
            return false;
        memcpy(one, text, length);
        one[length] = '\0';
        if (!when_parse_duration(one, &ms))
            return false;
        when_print_seconds(seconds, ms);
        buf_array_text(array, seconds);
        text = text[length] ? text + length + 1 : NULL;
    }
    buf_array_close(array);
    return true;
}

/* How many delays a policy takes. */
static bool retry_check(const struct cli *cli, const char *policy, size_t count)
{
    static const struct {
        const char *policy;
        size_t min, max;
        const char *takes;
    } policies[] = {{"exponential", 2, 2, "--delays FIRST,LAST"},
                    {"fixed", 1, 1, "--delays TIME"},
                    {"list", 1, 100, "--delays TIME,TIME,... (at most 100)"},
                    {"never", 0, 0, "no --delays"},
                    {"reset", 0, 0, "no --delays"}};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        if (strcmp(policies[i].policy, policy) != 0 ||
            (count >= policies[i].min && count <= policies[i].max))
            continue;
        failure_usage(cli, "A time is 500ms, 30s, 5m, 2h or 1d.", "--policy %s takes %s", policy,
                      policies[i].takes);
        return false;
    }
    return true;
}

static int retry_set(struct cli *cli, const char *policy, const char *delays)
{
    const char *const params[] = {cli->args[0], policy, cli_flag(cli, "error-class"), delays,
                                  cli_flag(cli, "max-attempts")};
    if (strcmp(policy, "reset") == 0)
        return kind_change(cli, CLI_SQL_KIND_RETRY_RESET, 2,
                           (const char *const[]){params[0], params[2]}, "cannot reset the retries");
    return kind_change(cli, CLI_SQL_KIND_RETRY_SET, 5, params, "cannot set the retries");
}

int cmd_kind_retry(struct cli *cli)
{
    static const char *const policies[] = {"exponential", "fixed", "list", "never", "reset"};
    const char *policy = cli_flag(cli, "policy"), *delays = cli_flag(cli, "delays");
    struct buf array;
    size_t count;
    int status = FAILURE_USAGE;
    if (!policy)
        return failure_usage(cli, "`errand help kind retry` explains them.",
                             "`errand kind retry` takes --policy");
    if (!cli_word(cli, "--policy", policy, policies, sizeof policies / sizeof *policies) ||
        !cli_number(cli, "--max-attempts", cli_flag(cli, "max-attempts"), 1, 1000))
        return FAILURE_USAGE;
    buf_init(&array, 0);
    if (!retry_delays(delays, &array, &count))
        failure_usage(cli, "A time is 500ms, 30s, 5m, 2h or 1d.",
                      "--delays is '%.80s'; it takes TIME[,TIME]", delays);
    else if (retry_check(cli, policy, count))
        status = retry_set(cli, policy, buf_text(&array));
    buf_clear(&array);
    return status;
}
