/* errand help [COMMAND] */
#include "cli/cmd.h"

#include "cli/cli.h"
#include "cli/failure.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ---- For people ---- */

static void help_flags(const char *title, const struct command_flag *flags)
{
    printf("\n%s\n", title);
    for (; flags && flags->name; flags++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s", flags->name[1] ? "--" : "-", flags->name,
                 flags->value ? " " : "", flags->value ? flags->value : "");
        printf("  %-26s  %s\n", left, flags->help);
    }
}

static void help_common_flags(void)
{
    help_flags("Flags of every command, before or behind its name:", command_common_flags);
    printf("  %-26s  %s\n", "--database-url URL",
           "the database, and so on for every setting of section errand:");
    printf("  %-26s  %s\n", "", "--log-level, --concurrency, ... (`errand config` lists them)");
}

static void help_exit_statuses(void)
{
    puts("\nExit status: 0 done, 1 failed, 2 usage or settings, 3 not found, 4 database "
         "unreachable or login refused,\n"
         "5 schema missing or older than this errand (migrate: or newer).");
}

static void help_all(const char *group)
{
    const struct command *command;
    size_t length = strlen(group);
    puts("errand runs the jobs of a PostgreSQL product.\n\nUsage: errand COMMAND [ARGUMENTS] "
         "[FLAGS]\n");
    for (size_t i = 0; (command = command_at(i)); i++)
        if (strncmp(command->name, group, length) == 0)
            printf("  %-18s  %s\n", command->name, command->summary);
    help_common_flags();
    help_exit_statuses();
}

static void help_one(const struct command *command)
{
    printf("Usage: errand %s%s%s [FLAGS]\n\n%s.\n", command->name, *command->arguments ? " " : "",
           command->arguments, command->summary);
    if (*command->details)
        printf("%s\n", command->details);
    if (command->flags)
        help_flags("Flags:", command->flags);
    help_common_flags();
}

/* ---- As JSON ---- */

static json_t *help_json_flags(const struct command_flag *flags)
{
    json_t *list = json_array();
    for (const struct command_flag *flag = flags; flag && flag->name; flag++)
        json_array_append_new(list, json_pack("{s:s, s:s?, s:s?}", "name", flag->name, "value",
                                              flag->value, "help", flag->help));
    return list;
}

static json_t *help_json_command(const struct command *command)
{
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:o}", "name", command->name, "arguments",
                     command->arguments, "summary", command->summary, "details", command->details,
                     "role", command->role, "flags", help_json_flags(command->flags));
}

/* One command, or all of a group (""), beside the flags that every command takes. */
static void help_json(const struct command *one, const char *group)
{
    const struct command *command;
    json_t *commands = json_array();
    for (size_t i = 0; (command = command_at(i)); i++)
        if (one ? command == one : strncmp(command->name, group, strlen(group)) == 0)
            json_array_append_new(commands, help_json_command(command));
    json_t *all = json_pack("{s:o, s:o}", "commands", commands, "flags",
                            help_json_flags(command_common_flags));
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

int cmd_help(struct cli *cli)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s%s", cli->arg_count ? cli->args[0] : "",
             cli->arg_count > 1 ? " " : "", cli->arg_count > 1 ? cli->args[1] : "");
    const struct command *command = command_find(name);
    if (cli->json && (command || !*name || command_is_group(name))) {
        help_json(command, name);
    } else if (command) {
        help_one(command);
    } else if (!*name || command_is_group(name)) {
        help_all(name);
    } else {
        const char *near = command_nearest(name);
        char hint[128];
        snprintf(hint, sizeof hint,
                 near ? "Did you mean `errand help %s`?" : "`errand help` lists the commands.",
                 near);
        return failure_usage(cli, hint, "there is no command '%s'", name);
    }
    return FAILURE_OK;
}
