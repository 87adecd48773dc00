/* errand help [COMMAND] */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/failure.h"

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

/* "name": "text", the value null where there is none. */
static void help_json_text(struct buf *json, const char *name, const char *text)
{
    buf_printf(json, "\"%s\": ", name);
    if (!text) {
        buf_add_text(json, "null");
        return;
    }
    buf_add_char(json, '"');
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        str_escape(json, line, length);
        line += length;
        if (*line) {
            buf_add_text(json, "\\n");
            line++;
        }
    }
    buf_add_char(json, '"');
}

static void help_json_flags(struct buf *json, const struct command_flag *flags)
{
    buf_add_text(json, "\"flags\": [");
    for (const struct command_flag *flag = flags; flag && flag->name; flag++) {
        buf_add_text(json, flag == flags ? "{" : ", {");
        help_json_text(json, "name", flag->name);
        buf_add_text(json, ", ");
        help_json_text(json, "value", flag->value);
        buf_add_text(json, ", ");
        help_json_text(json, "help", flag->help);
        buf_add_char(json, '}');
    }
    buf_add_char(json, ']');
}

static void help_json_command(struct buf *json, const struct command *command)
{
    buf_add_char(json, '{');
    help_json_text(json, "name", command->name);
    buf_add_text(json, ", ");
    help_json_text(json, "arguments", command->arguments);
    buf_add_text(json, ", ");
    help_json_text(json, "summary", command->summary);
    buf_add_text(json, ", ");
    help_json_text(json, "details", command->details);
    buf_add_text(json, ", ");
    help_json_text(json, "role", command->role);
    buf_add_text(json, ", ");
    help_json_flags(json, command->flags);
    buf_add_char(json, '}');
}

/* One command, or all of a group (""), beside the flags that every command takes. */
static void help_json(const struct command *one, const char *group)
{
    struct buf json;
    const struct command *command;
    size_t length = strlen(group), shown = 0;
    buf_init(&json, 0);
    buf_add_text(&json, "{\"commands\": [");
    for (size_t i = 0; (command = command_at(i)); i++)
        if (one ? command == one : strncmp(command->name, group, length) == 0) {
            buf_add_text(&json, shown++ ? ",\n " : "");
            help_json_command(&json, command);
        }
    buf_add_text(&json, "],\n ");
    help_json_flags(&json, command_common_flags);
    buf_add_char(&json, '}');
    puts(buf_text(&json));
    buf_clear(&json);
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
