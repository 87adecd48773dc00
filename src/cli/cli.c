#include "cli/cli.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "isolate/isolate.h"
#include "module/loader.h"
#include "web/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLI_WORD_BYTES = 128 };

/* ---- Life ---- */

static struct settings *cli_settings(const struct errand_module *const *modules)
{
    size_t count = 0;
    while (modules[count])
        count++;
    struct settings_section *sections = mem_zalloc((count + 1) * sizeof *sections);
    for (size_t i = 0; i < count; i++)
        sections[i] = (struct settings_section){modules[i]->name, modules[i]->settings,
                                                modules[i]->setting_count};
    sections[count] = source_settings;
    struct settings *settings = settings_new(sections, count + 1);
    free(sections);
    return settings;
}

struct cli *cli_new(const struct errand_module *const *modules)
{
    struct cli *cli = mem_zalloc(sizeof *cli);
    cli->modules = modules;
    cli->settings = cli_settings(modules);
    cli->loader = loader_new(modules);
    return cli;
}

void cli_free(struct cli *cli)
{
    settings_free(cli->settings);
    loader_free(cli->loader);
    free(cli->late);
    free(cli->args);
    free(cli->given);
    free(cli);
}

/* ---- Words ---- */

struct cli_scan {
    int argc, at;
    char **argv;
    char group[CLI_WORD_BYTES]; /* first word of a command of two; "" when none waits */
    bool plain;                 /* behind --: no more flags */
};

static bool cli_unknown_command(const struct cli *cli, const char *name, int *status)
{
    char hint[CLI_WORD_BYTES * 2];
    const char *near = command_nearest(name);
    if (near)
        snprintf(hint, sizeof hint, "Did you mean `errand %s`?", near);
    else
        snprintf(hint, sizeof hint, "`errand help` lists the commands.");
    *status = failure_usage(cli, hint, "unknown command '%.100s'", name);
    return false;
}

static bool cli_take_name(struct cli *cli, struct cli_scan *scan, const char *word, int *status)
{
    char name[CLI_WORD_BYTES * 2 + 2];
    snprintf(name, sizeof name, "%s%s%.120s", scan->group, *scan->group ? " " : "", word);
    if (!*scan->group && command_is_group(word)) {
        snprintf(scan->group, sizeof scan->group, "%s", word);
        return true;
    }
    cli->command = command_find(name);
    scan->group[0] = '\0';
    return cli->command || cli_unknown_command(cli, name, status);
}

static bool cli_take_word(struct cli *cli, struct cli_scan *scan, const char *word, int *status)
{
    if (!cli->command)
        return cli_take_name(cli, scan, word, status);
    if (cli->arg_count >= cli->command->args_max) {
        *status = failure_usage(cli, "`errand help` lists what each command takes.",
                                "`errand %s` takes no further argument: '%.100s'",
                                cli->command->name, word);
        return false;
    }
    cli->args[cli->arg_count++] = word;
    return true;
}

/* ---- Flags ---- */

/* --name=value, or --name value: the value, or NULL when told that there is none. */
static const char *cli_flag_value(const struct cli *cli, struct cli_scan *scan, const char *name,
                                  const char *inlined, int *status)
{
    if (inlined)
        return inlined;
    if (scan->at + 1 < scan->argc)
        return scan->argv[++scan->at];
    *status = failure_usage(cli, "", "flag --%.80s takes a value", name);
    return NULL;
}

static bool cli_take_setting(struct cli *cli, const char *name, const char *value, int *status)
{
    struct err err = {0};
    char key[CLI_WORD_BYTES];
    snprintf(key, sizeof key, "%s", name);
    for (char *at = key; *at; at++)
        if (*at == '-')
            *at = '_';
    bool is_set = strcmp(name, "set") == 0;
    if (is_set && strchr(value, '.') && !settings_knows(cli->settings, value)) {
        cli->late[cli->late_count++] = value;
        return true;
    }
    bool ok = is_set ? settings_flag(cli->settings, value, &err)
                     : settings_flag_core(cli->settings, key, value, &err);
    if (!ok)
        *status = failure_usage(cli, "", "%s", err.text);
    return ok;
}

static bool cli_is_setting(const char *name)
{
    char key[CLI_WORD_BYTES];
    snprintf(key, sizeof key, "%s", name);
    for (char *at = key; *at; at++)
        if (*at == '-')
            *at = '_';
    return strcmp(name, "set") == 0 || (!strchr(name, '_') && settings_is_core(key));
}

static bool cli_unknown_flag(const struct cli *cli, const char *name, int *status)
{
    char hint[CLI_WORD_BYTES * 2];
    const char *near = command_flag_nearest(cli->command, name);
    if (near)
        snprintf(hint, sizeof hint, "Did you mean --%s?", near);
    else
        snprintf(hint, sizeof hint, "`errand help%s%s` lists the flags.", cli->command ? " " : "",
                 cli->command ? cli->command->name : "");
    *status = failure_usage(cli, hint, "unknown flag --%.100s", name);
    return false;
}

static bool cli_take_switch(const struct cli *cli, const char *name, const char *inlined, bool *on,
                            int *status)
{
    *on = *on || !inlined;
    if (inlined)
        *status = failure_usage(cli, "", "flag --%.80s takes no value", name);
    return !inlined;
}

static bool cli_take_own_flag(struct cli *cli, struct cli_scan *scan, int index,
                              const char *inlined, int *status)
{
    const struct command_flag *flag = &cli->command->flags[index];
    struct cli_given *given = &cli->given[cli->given_count];
    bool on = false;
    *given = (struct cli_given){index, ""};
    if (flag->value)
        given->value = cli_flag_value(cli, scan, flag->name, inlined, status);
    else if (!cli_take_switch(cli, flag->name, inlined, &on, status))
        return false;
    cli->given_count += given->value != NULL;
    return given->value != NULL;
}

static bool cli_take_flag(struct cli *cli, struct cli_scan *scan, const char *text, int *status)
{
    char name[CLI_WORD_BYTES];
    const char *inlined = strchr(text, '=');
    size_t length = inlined ? (size_t)(inlined - text) : strlen(text);
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name), text);
    inlined = inlined ? inlined + 1 : NULL;
    int index = cli->command ? command_flag_index(cli->command, name) : -1;
    if (index >= 0)
        return cli_take_own_flag(cli, scan, index, inlined, status);
    if (strcmp(name, "json") == 0)
        return cli_take_switch(cli, name, inlined, &cli->json, status);
    if (strcmp(name, "help") == 0)
        return cli_take_switch(cli, name, inlined, &cli->help, status);
    bool is_config = strcmp(name, "config") == 0;
    if (!is_config && !cli_is_setting(name))
        return cli_unknown_flag(cli, name, status);
    const char *value = cli_flag_value(cli, scan, name, inlined, status);
    if (value && is_config)
        cli->config = value;
    return value && (is_config || cli_take_setting(cli, name, value, status));
}

/* ---- Parsing ---- */

/* Errors in the flags before --json are JSON as well. */
static bool cli_wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static bool cli_take(struct cli *cli, struct cli_scan *scan, int *status)
{
    const char *word = scan->argv[scan->at];
    if (scan->plain || word[0] != '-' || word[1] == '\0')
        return cli_take_word(cli, scan, word, status);
    if (strcmp(word, "--") == 0) {
        scan->plain = true;
        return true;
    }
    if (strcmp(word, "--version") == 0 && !cli->command) {
        cli->command = command_find("version");
        return true;
    }
    if (strcmp(word, "-h") == 0) {
        cli->help = true;
        return true;
    }
    if (word[1] == '-')
        return cli_take_flag(cli, scan, word + 2, status);
    if (word[2] == '\0' && cli->command && command_flag_index(cli->command, word + 1) >= 0)
        return cli_take_flag(cli, scan, word + 1, status);
    return cli_unknown_flag(cli, word + 1, status);
}

/* `errand jobs`, or `errand` alone: which one? */
static bool cli_finish(struct cli *cli, const struct cli_scan *scan, int *status)
{
    if (cli->help) {
        const char *wanted = cli->command ? cli->command->name : scan->group;
        cli->command = command_find("help");
        cli->args[0] = wanted;
        cli->arg_count = *wanted ? 1 : 0;
        return true;
    }
    if (!cli->command) {
        *status = *scan->group
                      ? failure_usage(cli, "`errand help` lists the commands.",
                                      "`errand %s` is a group of commands: name one", scan->group)
                      : failure_usage(cli, "`errand help` lists the commands.", "no command given");
        return false;
    }
    if (cli->arg_count < cli->command->args_min) {
        *status =
            failure_usage(cli, "`errand help` lists what each command takes.",
                          "`errand %s` takes %s", cli->command->name, cli->command->arguments);
        return false;
    }
    return true;
}

bool cli_parse(struct cli *cli, int argc, char **argv, int *status)
{
    struct cli_scan scan = {.argc = argc, .at = 1, .argv = argv};
    cli->json = cli_wants_json(argc, argv);
    cli->args = mem_zalloc(((size_t)argc + 1) * sizeof *cli->args);
    cli->given = mem_zalloc(((size_t)argc + 1) * sizeof *cli->given);
    cli->late = mem_zalloc(((size_t)argc + 1) * sizeof *cli->late);
    for (; scan.at < argc; scan.at++)
        if (!cli_take(cli, &scan, status))
            return false;
    return cli_finish(cli, &scan, status);
}

/* ---- Running ---- */

static bool cli_take_late(struct cli *cli, int *status)
{
    struct err err = {0};
    for (size_t i = 0; i < cli->late_count; i++)
        if (!settings_flag(cli->settings, cli->late[i], &err)) {
            *status = failure_usage(cli, "", "%s", err.text);
            return false;
        }
    return true;
}

/* Which plug-ins there are stands in the settings, and which settings there are in the plug-ins. */
static void cli_load_plugins(struct cli *cli)
{
    static const struct loader_asker asker = {.describe = isolate_describe};
    const char *directory = settings_text(cli->settings, "errand", "jobs");
    if (directory)
        loader_load(cli->loader, directory, &asker);
    for (size_t i = 0; i < cli->loader->file_count; i++) {
        const struct loader_file *file = &cli->loader->files[i];
        const struct errand_module *module = file->module;
        if (module)
            settings_extend(
                cli->settings,
                &(struct settings_section){module->name, module->settings, module->setting_count});
        else if (file->name)
            settings_tolerate(cli->settings, file->name);
    }
    cli->modules = cli->loader->modules;
}

static bool cli_load(struct cli *cli, int *status)
{
    struct err err = {0};
    enum log_level level = LOG_INFO;
    enum log_format format = LOG_LOGFMT;
    bool ok = settings_load_core(cli->settings, cli->config, &err);
    if (ok) {
        cli_load_plugins(cli);
        ok = source_declare(cli->settings, &err);
        if (ok && !cli_take_late(cli, status))
            return false;
        ok = ok && settings_load(cli->settings, cli->config, &err);
    }
    if (!ok) {
        *status = failure_tell(cli, FAILURE_USAGE, err.text, "");
        return false;
    }
    log_level_parse(settings_text(cli->settings, "errand", "log_level"), &level);
    log_format_parse(settings_text(cli->settings, "errand", "log_format"), &format);
    log_configure(level, format);
    return true;
}

int cli_run(struct cli *cli)
{
    int status = FAILURE_OK;
    bool needs_settings = cli->command->needs == COMMAND_NEEDS_SETTINGS;
    if (needs_settings ? !cli_load(cli, &status) : !cli_take_late(cli, &status))
        return status;
    status = cli->command->run(cli);
    /* What was too long for the buffer may have failed before. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == FAILURE_OK)
        return failure_tell(cli, FAILURE_FAILED, "cannot write the output", strerror(errno));
    return status;
}

/* ---- For the commands ---- */

const char *cli_flag(const struct cli *cli, const char *name)
{
    const char *last = NULL, *value;
    for (size_t at = 0; (value = cli_flag_next(cli, name, &at));)
        last = value;
    return last;
}

const char *cli_flag_next(const struct cli *cli, const char *name, size_t *at)
{
    int index = command_flag_index(cli->command, name);
    while (*at < cli->given_count) {
        const struct cli_given *given = &cli->given[(*at)++];
        if (given->flag == index)
            return given->value;
    }
    return NULL;
}

bool cli_number(const struct cli *cli, const char *what, const char *text, long long min,
                long long max)
{
    char *end;
    if (!text)
        return true;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && value >= min && value <= max)
        return true;
    failure_usage(cli, "", "%s is '%.80s'; it must be a whole number from %lld to %lld", what, text,
                  min, max);
    return false;
}

bool cli_word(const struct cli *cli, const char *what, const char *text, const char *const *words,
              size_t count)
{
    char hint[CLI_WORD_BYTES] = "";
    struct buf allowed;
    for (size_t i = 0; i < count; i++)
        if (!text || strcmp(words[i], text) == 0)
            return true;
    const char *near = str_nearest(text, words, count);
    if (near)
        snprintf(hint, sizeof hint, "Did you mean %s?", near);
    buf_init(&allowed, 0);
    for (size_t i = 0; i < count; i++)
        buf_printf(&allowed, "%s%s", i ? ", " : "", words[i]);
    failure_usage(cli, hint, "%s is '%.80s'; allowed: %s", what, text, buf_text(&allowed));
    buf_clear(&allowed);
    return false;
}

bool cli_ids(const struct cli *cli)
{
    for (size_t i = 0; i < cli->arg_count; i++)
        if (!cli_number(cli, "ID", cli->args[i], 1, 9223372036854775807LL))
            return false;
    return true;
}

bool cli_connect(const struct cli *cli, struct session **session, int *status)
{
    struct err err = {0};
    if (session_open(session, settings_text(cli->settings, "errand", "database_url"),
                     settings_text(cli->settings, "errand", "schema"), &err))
        return true;
    *status = failure_connect(cli, &err);
    return false;
}
