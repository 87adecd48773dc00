/* errand: parses the call, runs the command, tears down. */
#include "cli/cli.h"
#include "module/linked.h"

int main(int argc, char **argv)
{
    struct cli *cli = cli_new(modules_linked);
    int status;
    if (cli_parse(cli, argc, argv, &status))
        status = cli_run(cli);
    cli_free(cli);
    return status;
}
