#include "cli/command_table.h"

const struct command_flag command_common_flags[] = {
    {"json", NULL, "machine-readable output, errors too"},
    {"config", "FILE", "configuration file (default /etc/errand/errand.conf, if it exists)"},
    {"set", "SECTION.KEY=VALUE", "any setting; see `errand config`"},
    {"help", NULL, "this help (-h)"},
    {NULL, NULL, NULL},
};

static const struct command_family *const families[] = {
    &command_table_run,      &command_table_jobs,    &command_table_queue,
    &command_table_schedule, &command_table_webhook, &command_table_about,
};

const struct command *command_at(size_t i)
{
    for (size_t family = 0; family < sizeof families / sizeof *families; family++) {
        if (i < families[family]->count)
            return &families[family]->commands[i];
        i -= families[family]->count;
    }
    return NULL;
}
