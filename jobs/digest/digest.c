/* Messages that come again: what a source says is due becomes rows of public.scheduled_messages,
 * one for each subject and period (errand.messages_make). A schedule makes these jobs.
 *     digest.weekly  {"at": "{{fire_time}}"}                    the weekly digest of each workspace
 *     message.make   {"source": "name", "at": "{{fire_time}}"}  any source of errand.message_source
 * Without "at": what is due now. The result tells how many were made, and of how many there was
 * nothing to say. */
#include "digest_sql.h"

#include <stdlib.h>
#include <string.h>

static const char most[] = "500"; /* of one transaction */

static void digest_tell(struct errand_job *job, long long made, long long skipped)
{
    json_t *result = json_pack("{s:I, s:I}", "made", made, "skipped", skipped);
    errand_result(job, result, NULL);
    json_decref(result);
}

/* A run that ends in between goes on where it was: what was made is not made again. */
static void digest_make(struct errand_job *job, const char *source)
{
    const char *params[] = {source, json_string_value(json_object_get(errand_args(job), "at")),
                            most};
    long long made = 0, skipped = 0, step;
    do {
        const struct errand_rows *rows;
        const char *error;
        if (!errand_query(job, DIGEST_SQL_MAKE, 3, params, &rows, &error)) {
            if (errand_query_class(job) == ERRAND_SQL_PERMANENT)
                errand_fail(job, "%s", error);
            else
                errand_retry(job, -1, "%s", error);
            return;
        }
        long long new_made = atoll(errand_rows_text(rows, 0, 0));
        step = new_made + atoll(errand_rows_text(rows, 0, 1));
        made += new_made;
        skipped += step - new_made;
        errand_failpoint(job, "after_make");
    } while (step > 0);
    digest_tell(job, made, skipped);
    errand_done(job);
}

static void digest_weekly(struct errand_job *job)
{
    digest_make(job, "digest.weekly");
}

static void message_make(struct errand_job *job)
{
    const char *source = json_string_value(json_object_get(errand_args(job), "source"));
    if (source)
        digest_make(job, source);
    else
        errand_fail(job, "args have no source");
}

static const struct errand_kind digest_kinds[] = {
    {.size = sizeof(struct errand_kind), .name = "digest.weekly", .run = digest_weekly},
    {.size = sizeof(struct errand_kind), .name = "message.make", .run = message_make},
};

extern const struct errand_module digest_module;
ERRAND_EXPORT const struct errand_module digest_module = {
    .abi = ERRAND_ABI,
    .size = sizeof(struct errand_module),
    .name = "digest",
    .version = "1",
    .kinds = digest_kinds,
    .kind_count = sizeof digest_kinds / sizeof *digest_kinds,
    .statements = digest_sql,
    .statement_count = DIGEST_SQL_COUNT,
};
