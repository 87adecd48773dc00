/* The calls of errand/errand.h for statements' parameters that are not plain texts. */
#include "host/host.h"

#include "module/param_text.h"

const char *errand_int_text(struct errand_job *job, int64_t value)
{
    (void)job;
    return param_text_int(&host.arena, value);
}

const char *errand_time_text(struct errand_job *job, int64_t at_us)
{
    (void)job;
    return param_text_time(&host.arena, at_us);
}

const char *errand_array_text(struct errand_job *job, size_t count, const char *const *values)
{
    (void)job;
    return param_text_array(&host.arena, count, values);
}

const char *errand_array_int(struct errand_job *job, size_t count, const int64_t *values)
{
    (void)job;
    return param_text_array_int(&host.arena, count, values);
}

const char *errand_bytea_text(struct errand_job *job, const void *bytes, size_t length)
{
    (void)job;
    return param_text_bytea(&host.arena, bytes, length);
}

const char *errand_json_text(struct errand_job *job, const json_t *value)
{
    (void)job;
    return param_text_json(&host.arena, value);
}
