/* One call of errand: what the person asked for, parsed. Finds the command, loads the settings,
 * runs it. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/command.h"
#include "config/settings.h"

#include <errand/errand.h>

struct session;

enum { CLI_ARGS_MAX = 8 };

struct cli {
    const struct errand_module *const *modules; /* ends with NULL */
    struct settings *settings;
    const struct command *command; /* NULL until it is found */
    const char *config;            /* --config; NULL: not given */
    bool json, help;
    const char *args[CLI_ARGS_MAX]; /* behind the command's name */
    size_t arg_count;
    const char *
        values[COMMAND_FLAGS_MAX]; /* of the command's own flags, in their order; NULL: not given */
};

struct cli *cli_new(const struct errand_module *const *modules);
void cli_free(struct cli *cli);

/* False: *status is the exit status; what is wrong was told. */
bool cli_parse(struct cli *cli, int argc, char **argv, int *status);

/* Loads the settings if the command needs them, and runs it. Returns the exit status. */
int cli_run(struct cli *cli);

/* A flag of the command's own by name; NULL when it was not given. A switch has the value "". */
const char *cli_flag(const struct cli *cli, const char *name);

/* A flag or argument that must be a whole number in a range; *given false and true returned when
 * text is NULL. False: told as a usage error. */
bool cli_number(const struct cli *cli, const char *what, const char *text, long long min,
                long long max);

/* Connects to the configured database. False: *status is the exit status; what is wrong was told.
 */
bool cli_connect(const struct cli *cli, struct session **session, int *status);

#endif
