/* errand runners */
#include "cli/cmd.h"

#include "cli/ask.h"

int cmd_runners(struct cli *cli)
{
    static const char *const headings[] = {"id",    "name",    "version", "state",
                                           "lanes", "running", "queues",  "lease_until"};
    static const struct table_shape table = {headings, 8, 0xbd, false};
    return ask_list(cli, &(struct ask){CLI_SQL_RUNNER_LIST, 0, NULL, "cannot list the runners"},
                    &table);
}
