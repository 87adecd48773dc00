/* What each command does: a function of the table in command.c, in cmd_NAME.c. Each returns the
 * exit status. */
#ifndef CLI_CMD_H
#define CLI_CMD_H

struct cli;

int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);
int cmd_config(struct cli *cli);
int cmd_run(struct cli *cli);
int cmd_migrate_up(struct cli *cli);
int cmd_migrate_status(struct cli *cli);
int cmd_migrate_plan(struct cli *cli);
int cmd_enqueue(struct cli *cli);
int cmd_jobs_list(struct cli *cli);
int cmd_jobs_show(struct cli *cli);
int cmd_why(struct cli *cli);
int cmd_status(struct cli *cli);

#endif
