/* Commands that run and feed errand. */
#include "cli/cmd.h"
#include "cli/command_table.h"

static const struct command commands[] = {
    {.name = "run",
     .arguments = "",
     .summary = "run jobs until SIGTERM or SIGINT",
     .details =
         "A first signal ends it in order: nothing new starts, running jobs get stop_timeout_ms.",
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_runner",
     .run = cmd_run},
    {.name = "migrate up",
     .arguments = "",
     .summary = "bring the database's tables up to this errand",
     .details =
         "Each migration is one transaction; several `migrate up` at once are safe. The sets:\n"
         "  queue   errand's own schema; needs no extension\n"
         "  auth    auth.users and roles, where Supabase made none\n"
         "  domain  001-011; needs pgvector; adopted where the tables stand already\n"
         "  email   errand's sources on the domain tables",
     .flags = cmd_migrate_up_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = cmd_migrate_up},
    {.name = "migrate status",
     .arguments = "",
     .summary = "list the migrations and what became of them",
     .details = "",
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_migrate_status},
    {.name = "migrate plan",
     .arguments = "",
     .summary = "list what `migrate up` would do, and do nothing",
     .details = "",
     .flags = cmd_migrate_plan_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_migrate_plan},
    {.name = "enqueue",
     .arguments = "KIND [ARGS | @FILE | -]",
     .summary = "enqueue a job and print its id",
     .details = "ARGS is JSON (default {}), @FILE reads it from a file, - from standard input.",
     .flags = cmd_enqueue_flags,
     .args_min = 1,
     .args_max = 2,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_enqueue",
     .run = cmd_enqueue},
    {.name = "test",
     .arguments = "KIND [ARGS...]",
     .summary = "run one handler in a database of its own, and print all that it does",
     .details =
         "ARGS is a file of JSON, or JSON itself (default {}); several for a kind of batches.\n"
         "The database is made on the server of database_url, migrated, and removed afterwards.\n"
         "Requests get the answers of --http, and go nowhere.\n"
         "Status 0: done. 1: it could not be run, or a request had no answer.\n"
         "10: dead, 11: retry, 12: snooze, 13: cancelled, 14: unknown, 15: it waits for a signal.",
     .flags = cmd_test_flags,
     .args_min = 1,
     .args_max = 1001,
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = cmd_test},
};

const struct command_family command_table_run = {commands, sizeof commands / sizeof *commands};
