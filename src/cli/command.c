#include "cli/command.h"

#include "base/str.h"
#include "config/settings.h"
#include "config/settings_core.h"

#include <stdio.h>
#include <string.h>

enum { COMMAND_NAMES_MAX = 128, COMMAND_NAME_BYTES = 64 };

const struct command *command_find(const char *name)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)); i++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

bool command_is_group(const char *word)
{
    const struct command *command;
    size_t length = strlen(word);
    for (size_t i = 0; (command = command_at(i)); i++)
        if (strncmp(command->name, word, length) == 0 && command->name[length] == ' ')
            return true;
    return false;
}

const char *command_nearest(const char *name)
{
    static char groups[COMMAND_NAMES_MAX][COMMAND_NAME_BYTES];
    const char *names[COMMAND_NAMES_MAX * 2];
    const struct command *command;
    size_t count = 0;
    for (size_t i = 0; (command = command_at(i)) && i < COMMAND_NAMES_MAX; i++) {
        names[count++] = command->name;
        snprintf(groups[i], sizeof groups[i], "%.*s", (int)strcspn(command->name, " "),
                 command->name);
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
