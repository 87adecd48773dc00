/* What each command does, and the flags that it takes: for the table in command_table.h. They stand
 * in cmd_NAME.c, a file a family. Each function returns the exit status. */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include "cli/command.h"

int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);
int cmd_config(struct cli *cli);
int cmd_plugins(struct cli *cli);
int cmd_run(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_why(struct cli *cli);
int cmd_runners(struct cli *cli);

extern const struct command_flag cmd_migrate_up_flags[], cmd_migrate_plan_flags[];
int cmd_migrate_up(struct cli *cli);
int cmd_migrate_status(struct cli *cli);
int cmd_migrate_plan(struct cli *cli);

extern const struct command_flag cmd_enqueue_flags[];
int cmd_enqueue(struct cli *cli);

extern const struct command_flag cmd_test_flags[];
int cmd_test(struct cli *cli);

extern const struct command_flag cmd_jobs_list_flags[], cmd_jobs_log_flags[], cmd_jobs_wait_flags[];
int cmd_jobs_list(struct cli *cli);
int cmd_jobs_show(struct cli *cli);
int cmd_jobs_log(struct cli *cli);
int cmd_jobs_wait(struct cli *cli);

extern const struct command_flag cmd_jobs_action_flags[], cmd_jobs_cancel_flags[],
    cmd_jobs_reprioritize_flags[];
int cmd_jobs_cancel(struct cli *cli);
int cmd_jobs_retry(struct cli *cli);
int cmd_jobs_redrive(struct cli *cli);
int cmd_jobs_reprioritize(struct cli *cli);
int cmd_jobs_delete(struct cli *cli);
int cmd_jobs_signal(struct cli *cli);

extern const struct command_flag cmd_pause_flags[]; /* of queues and of kinds */

extern const struct command_flag cmd_queue_create_flags[], cmd_queue_limit_flags[];
int cmd_queue_list(struct cli *cli);
int cmd_queue_create(struct cli *cli);
int cmd_queue_pause(struct cli *cli);
int cmd_queue_resume(struct cli *cli);
int cmd_queue_limit(struct cli *cli);
int cmd_queue_retention(struct cli *cli);

extern const struct command_flag cmd_kind_retry_flags[];
int cmd_kind_list(struct cli *cli);
int cmd_kind_pause(struct cli *cli);
int cmd_kind_resume(struct cli *cli);
int cmd_kind_limit(struct cli *cli);
int cmd_kind_keep(struct cli *cli);
int cmd_kind_retry(struct cli *cli);

extern const struct command_flag cmd_schedule_history_flags[], cmd_schedule_next_flags[],
    cmd_schedule_set_flags[], cmd_schedule_apply_flags[];
int cmd_schedule_list(struct cli *cli);
int cmd_schedule_show(struct cli *cli);
int cmd_schedule_next(struct cli *cli);
int cmd_schedule_history(struct cli *cli);
int cmd_schedule_run_now(struct cli *cli);
int cmd_schedule_enable(struct cli *cli);
int cmd_schedule_disable(struct cli *cli);
int cmd_schedule_remove(struct cli *cli);
int cmd_schedule_set(struct cli *cli);
int cmd_schedule_apply(struct cli *cli);

extern const struct command_flag cmd_suppression_list_flags[];
int cmd_suppression_list(struct cli *cli);
int cmd_suppression_add(struct cli *cli);
int cmd_suppression_remove(struct cli *cli);

extern const struct command_flag cmd_webhook_list_flags[], cmd_webhook_show_flags[],
    cmd_webhook_verify_flags[], cmd_webhook_replay_flags[], cmd_webhook_trigger_flags[],
    cmd_webhook_rotate_flags[], cmd_webhook_reconcile_flags[];
extern const struct table_shape cmd_webhook_shape; /* of the rows of webhook_list */
int cmd_webhook_list(struct cli *cli);
int cmd_webhook_show(struct cli *cli);
int cmd_webhook_verify(struct cli *cli);
int cmd_webhook_replay(struct cli *cli);
int cmd_webhook_trigger(struct cli *cli);
int cmd_webhook_endpoints(struct cli *cli);
int cmd_webhook_rotate(struct cli *cli);
int cmd_webhook_reconcile(struct cli *cli);

extern const struct command_flag cmd_stats_flags[];
int cmd_stats(struct cli *cli);

#endif
