/* errand version */
#include "cli/cmd.h"

#include "cli/cli.h"
#include "cli/failure.h"

#include <stdio.h>

int cmd_version(struct cli *cli)
{
    printf(cli->json ? "{\"version\": \"%s\"}\n" : "errand %s\n", ERRAND_VERSION);
    return FAILURE_OK;
}
