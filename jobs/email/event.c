#include "event.h"

#include "email_sql.h"

#include <string.h>

void event_run(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    const char *params[] = {json_string_value(json_object_get(args, "source")),
                            json_string_value(json_object_get(args, "event_id"))};
    const struct errand_rows *rows;
    const char *error;
    if (!params[0] || !params[1]) {
        errand_fail(job, "args need source and event_id, which name a row of errand.webhook_event");
        return;
    }
    if (!errand_query(job, EMAIL_SQL_EVENT_APPLY, 2, params, &rows, &error)) {
        if (errand_query_class(job) == ERRAND_SQL_PERMANENT)
            errand_fail(job, "%s", error);
        else
            errand_retry(job, -1, "%s", error);
        return;
    }
    errand_failpoint(job, "after_event");
    const char *status = errand_rows_text(rows, 0, 0), *effect = errand_rows_text(rows, 0, 1);
    if (strcmp(status, "failed") == 0) {
        errand_fail(job, "%s", effect);
        return;
    }
    json_t *result = json_pack("{s:s, s:s}", "status", status, "effect", effect);
    errand_result(job, result, NULL);
    json_decref(result);
    errand_done(job);
}
