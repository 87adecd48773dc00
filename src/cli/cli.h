/* One call of errand: what the person asked for, parsed. Finds the command, loads the settings,
 * runs it. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/command.h"
#include "config/settings.h"

#include <errand/errand.h>

struct loader;
struct session;

struct cli_given {
    int flag; /* index among the command's own */
    const char *value;
};

struct cli {
    const struct errand_module *const *modules; /* linked, and loaded; ends with NULL */
    struct loader *loader;
    struct settings *settings;
    const struct command *command; /* NULL until it is found */
    const char *config;            /* --config; NULL: not given */
    bool json, help;
    const char **args; /* behind the command's name */
    size_t arg_count;
    struct cli_given *given; /* the command's own flags, as they were given */
    size_t given_count;
    const char **late; /* values of --set for sections that a plug-in may bring */
    size_t late_count;
};

struct cli *cli_new(const struct errand_module *const *modules);
void cli_free(struct cli *cli);

/* False: *status is the exit status; what is wrong was told. */
bool cli_parse(struct cli *cli, int argc, char **argv, int *status);

/* Loads the settings if the command needs them, and runs it. Returns the exit status. */
int cli_run(struct cli *cli);

/* A flag of the command's own by name, the last one if it was given again; NULL when it was not
 * given. A switch has the value "". */
const char *cli_flag(const struct cli *cli, const char *name);

/* The values of a flag that may be given again, one by one: *at begins at 0. NULL: no more. */
const char *cli_flag_next(const struct cli *cli, const char *name, size_t *at);

/* A flag or argument that must be a whole number in a range; NULL is well, too. False: told as a
 * usage error. */
bool cli_number(const struct cli *cli, const char *what, const char *text, long long min,
                long long max);

/* A flag or argument that must be one of some words; NULL is well, too. False: told as a usage
 * error. */
bool cli_word(const struct cli *cli, const char *what, const char *text, const char *const *words,
              size_t count);

/* Arguments from the first on that must be ids of jobs. False: told as a usage error. */
bool cli_ids(const struct cli *cli);

/* Connects to the configured database. False: *status is the exit status; what is wrong was told.
 */
bool cli_connect(const struct cli *cli, struct session **session, int *status);

#endif
