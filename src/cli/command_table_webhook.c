/* Commands about webhooks, and what comes of them. */
#include "cli/cmd.h"
#include "cli/command_table.h"

#include <stdint.h>

static const struct command commands[] = {
    {.name = "webhook list",
     .arguments = "",
     .summary = "list the events that others sent, the newest first",
     .details =
         "--json gives {\"webhooks\": [...], \"next\": EVENT or null}; --before EVENT asks for "
         "what follows.",
     .flags = cmd_webhook_list_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_webhook_list},
    {.name = "webhook show",
     .arguments = "EVENT",
     .summary = "show one event: its headers, its job, what became of it",
     .details = "EVENT is SOURCE:ID, as the list has it.",
     .flags = cmd_webhook_show_flags,
     .args_min = 1,
     .args_max = 1,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_webhook_show},
    {.name = "webhook replay",
     .arguments = "[EVENT...]",
     .summary = "have events acted on again whose jobs have ended",
     .details = "A dead letter is redriven; else a new job is made. --failed takes all that "
                "failed, and only "
                "says\nwhich those are unless --yes is given.",
     .flags = cmd_webhook_replay_flags,
     .args_max = SIZE_MAX,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_operator",
     .run = cmd_webhook_replay},
    {.name = "webhook reconcile",
     .arguments = "",
     .summary = "ask the provider for what its events did not tell, and make up for it",
     .details = "Prints the id of the job that does it (billing.reconcile, which also runs each "
                "day); `errand jobs wait ID`\nwaits for its end. Needs the set billing, and a "
                "runner with an API key in [billing] api_key.",
     .flags = cmd_webhook_reconcile_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_operator",
     .run = cmd_webhook_reconcile},
    {.name = "webhook trigger",
     .arguments = "[TYPE]",
     .summary = "send a signed sample event to a running errand, for development",
     .details =
         "TYPE as Resend and Lemon Squeezy call it (email.bounced, subscription_created); without "
         "it they "
         "are\nlisted. It is signed with the secret of the settings. --with data.email_id=ID "
         "changes what the "
         "sample\nsays; $now, $now+30d and $uuid stand for a time and a new id. Asks no database.",
     .flags = cmd_webhook_trigger_flags,
     .args_max = 1,
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = cmd_webhook_trigger},
    {.name = "webhook endpoints",
     .arguments = "",
     .summary = "list where events come in, whether their secrets are set, and what came",
     .details = "The secrets are those of this command's settings. Counts are of the last 24 "
                "hours, and of "
                "events\nthat are not done with.",
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_webhook_endpoints},
    {.name = "webhook rotate-secret",
     .arguments = "SOURCE",
     .summary = "make a new signing secret, and say how to change to it without losing an event",
     .details = "Prints the lines to set. The secret until now is not shown; with --file both go "
                "into a file "
                "that\nonly you can read. Changes nothing itself. Asks no database.",
     .flags = cmd_webhook_rotate_flags,
     .args_min = 1,
     .args_max = 1,
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = cmd_webhook_rotate},
    {.name = "webhook verify",
     .arguments = "FILE",
     .summary = "say whether a webhook's signature is right, and if not why",
     .details = "FILE holds the request as it was received: headers, a blank line, the body; - is "
                "standard\ninput. Of a source that errand does not know, the secret comes from "
                "--secret-file; it signs as\nStandard Webhooks says, unless --hex-header names a "
                "header. Asks no database.",
     .flags = cmd_webhook_verify_flags,
     .args_min = 1,
     .args_max = 1,
     .needs = COMMAND_NEEDS_SETTINGS,
     .run = cmd_webhook_verify},
    {.name = "suppression list",
     .arguments = "",
     .summary = "list the addresses that mail does not go to, and why",
     .details = "The event is the one that put it there; one without was put there by hand. Needs "
                "the set email.",
     .flags = cmd_suppression_list_flags,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_viewer",
     .run = cmd_suppression_list},
    {.name = "suppression add",
     .arguments = "ADDRESS REASON",
     .summary = "send no more mail to an address",
     .details = "",
     .args_min = 2,
     .args_max = 2,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_operator",
     .run = cmd_suppression_add},
    {.name = "suppression remove",
     .arguments = "ADDRESS",
     .summary = "take an address off the list",
     .details = "Events from before that do not put it there again; later ones do.",
     .args_min = 1,
     .args_max = 1,
     .needs = COMMAND_NEEDS_SETTINGS,
     .role = "errand_operator",
     .run = cmd_suppression_remove},
};

const struct command_family command_table_webhook = {commands, sizeof commands / sizeof *commands};
