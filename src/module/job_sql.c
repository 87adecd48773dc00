/* The public job API of include/errand/errand.h for statements' parameters that are not plain
 * texts. What comes back is read in rows.c. A call that is a mistake gives SQL NULL. */
#include "module/call.h"

#include "module/param_text.h"

const char *errand_int_text(struct errand_job *job, int64_t value)
{
    return call_is_own(job, "errand_int_text") ? param_text_int(&job->attempt->arena, value) : NULL;
}

const char *errand_time_text(struct errand_job *job, int64_t at_us)
{
    return call_is_own(job, "errand_time_text") ? param_text_time(&job->attempt->arena, at_us)
                                                : NULL;
}

const char *errand_array_text(struct errand_job *job, size_t count, const char *const *values)
{
    return call_is_own(job, "errand_array_text")
               ? param_text_array(&job->attempt->arena, count, values)
               : NULL;
}

const char *errand_array_int(struct errand_job *job, size_t count, const int64_t *values)
{
    return call_is_own(job, "errand_array_int")
               ? param_text_array_int(&job->attempt->arena, count, values)
               : NULL;
}

const char *errand_bytea_text(struct errand_job *job, const void *bytes, size_t length)
{
    return call_is_own(job, "errand_bytea_text")
               ? param_text_bytea(&job->attempt->arena, bytes, length)
               : NULL;
}

const char *errand_json_text(struct errand_job *job, const json_t *value)
{
    return call_is_own(job, "errand_json_text") ? param_text_json(&job->attempt->arena, value)
                                                : NULL;
}
