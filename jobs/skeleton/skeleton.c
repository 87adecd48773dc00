/* An example to copy: one kind, one statement, one setting.
 *     skeleton.greet  {"name": "Ada"}   leaves {"said": "Hello, Ada"} as its result */
#include "skeleton_sql.h"

static void skeleton_greet(struct errand_job *job)
{
    const char *name = json_string_value(json_object_get(errand_args(job), "name"));
    const char *const params[] = {errand_setting(job, "greeting"), name};
    const struct errand_rows *rows;
    const char *error;
    if (!name) {
        errand_fail(job, "args have no name");
        return;
    }
    if (!errand_query(job, SKELETON_SQL_GREET, 2, params, &rows, &error)) {
        if (errand_query_class(job) == ERRAND_SQL_PERMANENT)
            errand_fail(job, "%s", error);
        else
            errand_retry(job, -1, "%s", error);
        return;
    }
    const char *said = errand_rows_text(rows, 0, 0);
    json_t *result = json_pack("{s:s}", "said", said);
    errand_log(job, ERRAND_INFO, "%s", said);
    errand_result(job, result, NULL);
    json_decref(result);
    errand_done(job);
}

static const struct errand_kind skeleton_kinds[] = {
    {.size = sizeof(struct errand_kind), .name = "skeleton.greet", .run = skeleton_greet},
};

static const struct errand_setting skeleton_settings[] = {
    {"greeting", ERRAND_SETTING_TEXT, "Hello", NULL, 0, 0, "word before the name"},
};

extern const struct errand_module skeleton_module;
ERRAND_EXPORT const struct errand_module skeleton_module = {
    .abi = ERRAND_ABI,
    .size = sizeof(struct errand_module),
    .name = "skeleton",
    .version = "1",
    .kinds = skeleton_kinds,
    .kind_count = sizeof skeleton_kinds / sizeof *skeleton_kinds,
    .settings = skeleton_settings,
    .setting_count = sizeof skeleton_settings / sizeof *skeleton_settings,
    .statements = skeleton_sql,
    .statement_count = SKELETON_SQL_COUNT,
};
