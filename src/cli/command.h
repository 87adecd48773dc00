/* The commands: one table (command_table.h), from which parsing, help and completion all follow.
 * The flags of a family of commands stand beside its file (cmd.h). */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct cli;

struct command_flag {
    const char *name;  /* without dashes; NULL ends the list */
    const char *value; /* what it takes, for help; NULL: nothing, the flag is a switch */
    const char *help;
};

enum command_needs {
    COMMAND_NEEDS_NOTHING, /* runs whatever the settings are */
    COMMAND_NEEDS_SETTINGS
};

struct command {
    const char *name;                 /* one or two words: "jobs list" */
    const char *arguments;            /* for help: "KIND [ARGS]"; "" when none */
    const char *summary;              /* one line */
    const char *details;              /* more lines for `errand help NAME`; "" when none */
    const struct command_flag *flags; /* NULL: none of its own */
    size_t args_min, args_max;        /* SIZE_MAX: any number */
    enum command_needs needs;
    const char *role; /* the database role that may do this; NULL: no database, or its owner */
    int (*run)(struct cli *cli);
};

const struct command *command_at(size_t i);              /* NULL: there are not so many */
extern const struct command_flag command_common_flags[]; /* that every command takes */

/* By its whole name ("jobs list"). NULL: there is none. */
const struct command *command_find(const char *name);
bool command_is_group(const char *word);       /* "jobs": first of two words */
const char *command_nearest(const char *name); /* NULL: none is near */

/* The index of a flag of the command's own; -1: it has none of that name. */
int command_flag_index(const struct command *command, const char *name);
/* Among the command's own, the common ones and the core settings (with dashes); NULL: none is near.
 */
const char *command_flag_nearest(const struct command *command, const char *name);

#endif
