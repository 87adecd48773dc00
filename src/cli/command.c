#include "cli/command.h"

#include "base/str.h"
#include "cli/cmd.h"
#include "config/settings.h"
#include "config/settings_core.h"

#include <stdio.h>
#include <string.h>

const struct command_flag command_common_flags[] = {
    {"json", NULL, "machine-readable output, errors too"},
    {"config", "FILE", "configuration file (default /etc/errand/errand.conf, if it exists)"},
    {"set", "SECTION.KEY=VALUE", "any setting; see `errand config`"},
    {"help", NULL, "this help (-h)"},
    {NULL, NULL, NULL},
};

static const struct command_flag migrate_up_flags[] = {
    {"only", "SET[,SET]", "only these sets of: queue, auth, domain, email"},
    {NULL, NULL, NULL},
};

static const struct command_flag migrate_plan_flags[] = {
    {"only", "SET[,SET]", "only these sets of: queue, auth, domain, email"},
    {"sql", NULL, "print the SQL as well"},
    {NULL, NULL, NULL},
};

static const struct command_flag enqueue_flags[] = {
    {"queue", "NAME", "queue (default: the kind's own)"},
    {"run-at", "TIME", "not before: 2031-01-31T09:00:00Z, or from now: +10s, +5m, +2h, +1d"},
    {"priority", "0-3", "0 first, 3 last (default 2)"},
    {"key", "KEY", "at most one job of a queue bears a key; the one that stands is kept"},
    {"max-attempts", "N", "1 to 1000 (default: the kind's own)"},
    {NULL, NULL, NULL},
};

static const struct command_flag jobs_list_flags[] = {
    {"state", "STATE", "scheduled, ready, running, waiting, done, cancelled, dead or unknown"},
    {"queue", "NAME", "of this queue"},
    {"kind", "KIND", "of this kind"},
    {"key", "KEY", "that bears this key"},
    {"limit", "N", "at most so many, the newest first (default 50, at most 10000)"},
    {NULL, NULL, NULL},
};

const struct command command_table[] = {
    {.name = "run",
     .arguments = "",
     .summary = "run jobs until SIGTERM or SIGINT",
     .details =
         "A first signal ends it in order: nothing new starts, running jobs get stop_timeout_ms.",
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_runner",
     .run = cmd_run},
    {.name = "migrate up",
     .arguments = "",
     .summary = "bring the database's tables up to this errand",
     .details =
         "Each migration is one transaction; several `migrate up` at once are safe. The sets:\n"
         "  queue   errand's own schema; needs no extension\n"
         "  auth    auth.users and roles, where Supabase made none\n"
         "  domain  001-011; needs pgvector; adopted where the tables stand already\n"
         "  email   errand's sources on the domain tables",
     .flags = migrate_up_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = cmd_migrate_up},
    {.name = "migrate status",
     .arguments = "",
     .summary = "list the migrations and what became of them",
     .details = "",
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_migrate_status},
    {.name = "migrate plan",
     .arguments = "",
     .summary = "list what `migrate up` would do, and do nothing",
     .details = "",
     .flags = migrate_plan_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_migrate_plan},
    {.name = "enqueue",
     .arguments = "KIND [ARGS | @FILE | -]",
     .summary = "enqueue a job and print its id",
     .details = "ARGS is JSON (default {}), @FILE reads it from a file, - from standard input.",
     .flags = enqueue_flags,
     .args_min = 1,
     .args_max = 2,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_enqueue",
     .run = cmd_enqueue},
    {.name = "jobs list",
     .arguments = "",
     .summary = "list jobs, the newest first",
     .details = "",
     .flags = jobs_list_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_jobs_list},
    {.name = "jobs show",
     .arguments = "ID",
     .summary = "show all of one job",
     .details = "",
     .args_min = 1,
     .args_max = 1,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_jobs_show},
    {.name = "why",
     .arguments = "ID",
     .summary = "say in a sentence why a job is not running",
     .details = "",
     .args_min = 1,
     .args_max = 1,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_why},
    {.name = "status",
     .arguments = "",
     .summary = "show queues, runners, the schema, and what is due next",
     .details = "",
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_status},
    {.name = "config",
     .arguments = "",
     .summary = "list the settings, their values, and where each comes from",
     .details = "Secrets are shown as ***.",
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = cmd_config},
    {.name = "version",
     .arguments = "",
     .summary = "print the version",
     .details = "",
     .run = cmd_version},
    {.name = "help",
     .arguments = "[COMMAND]",
     .summary = "explain errand, or one command",
     .details = "",
     .args_max = 2,
     .run = cmd_help},
};

const size_t command_count = sizeof command_table / sizeof *command_table;

enum { COMMAND_NAMES_MAX = 64, COMMAND_NAME_BYTES = 64 };

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(command_table[i].name, name) == 0)
            return &command_table[i];
    return NULL;
}

bool command_is_group(const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i < command_count; i++)
        if (strncmp(command_table[i].name, word, length) == 0 &&
            command_table[i].name[length] == ' ')
            return true;
    return false;
}

const char *command_nearest(const char *name)
{
    static char groups[COMMAND_NAMES_MAX][COMMAND_NAME_BYTES];
    const char *names[COMMAND_NAMES_MAX * 2];
    size_t count = 0;
    for (size_t i = 0; i < command_count && i < COMMAND_NAMES_MAX; i++) {
        names[count++] = command_table[i].name;
        snprintf(groups[i], sizeof groups[i], "%.*s", (int)strcspn(command_table[i].name, " "),
                 command_table[i].name);
        names[count++] = groups[i];
    }
    return str_nearest(name, names, count);
}

int command_flag_index(const struct command *command, const char *name)
{
    for (int i = 0; command->flags && command->flags[i].name; i++)
        if (strcmp(command->flags[i].name, name) == 0)
            return i;
    return -1;
}

static size_t flag_names(const struct command_flag *flags, const char **names)
{
    size_t count = 0;
    for (; flags && flags[count].name; count++)
        names[count] = flags[count].name;
    return count;
}

const char *command_flag_nearest(const struct command *command, const char *name)
{
    static char dashed[COMMAND_NAMES_MAX][COMMAND_NAME_BYTES];
    const char *names[COMMAND_NAMES_MAX * 2];
    size_t count = flag_names(command_common_flags, names);
    if (command)
        count += flag_names(command->flags, names + count);
    for (size_t i = 0; i < settings_core.count && i < COMMAND_NAMES_MAX; i++) {
        snprintf(dashed[i], sizeof dashed[i], "%s", settings_core.table[i].name);
        for (char *at = dashed[i]; *at; at++)
            if (*at == '_')
                *at = '-';
        names[count++] = dashed[i];
    }
    return str_nearest(name, names, count);
}
