/* Commands about errand itself. */
#include "cli/cmd.h"
#include "cli/command_table.h"

static const struct command commands[] = {
    {.name = "stats",
     .arguments = "",
     .summary = "count outcomes and say how long jobs waited and ran",
     .details =
         "From counts per minute: no job is looked at. Times are those that half of the jobs, "
         "and 99 in\n100, stayed below. `retry` counts attempts that failed and are tried again.",
     .flags = cmd_stats_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_stats},
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
    {.name = "plugins",
     .arguments = "",
     .summary =
         "list the plug-ins and the kinds that are files: loaded, or refused with the reason",
     .details = "They are loaded from the directory of the setting jobs.",
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = cmd_plugins},
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

const struct command_family command_table_about = {commands, sizeof commands / sizeof *commands};
