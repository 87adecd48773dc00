/* The table of commands is made of families, in the order in which help lists them; a file each
 * (command_table_NAME.c). For these files; all others ask command.h. */
#ifndef CLI_COMMAND_TABLE_H
#define CLI_COMMAND_TABLE_H

#include "cli/command.h"

struct command_family {
    const struct command *commands;
    size_t count;
};

extern const struct command_family command_table_run, command_table_jobs, command_table_queue,
    command_table_schedule, command_table_webhook, command_table_about;

#endif
