/* How the trace context of a job goes on: with its requests and into its programs. */
#ifndef MODULE_JOB_TRACE_H
#define MODULE_JOB_TRACE_H

#include <errand/errand.h>

const char *job_trace_span(struct errand_job *job); /* errand_trace_span, from anywhere */
/* The request itself, or a copy in the attempt's memory with the header traceparent: when the job
 * has a trace and the request has no such header. */
const struct errand_request *job_trace_request(struct errand_job *job,
                                               const struct errand_request *request);
/* The same of a program's environment (NULL: none), with TRACEPARENT. */
const char *const *job_trace_env(struct errand_job *job, const char *const *env);

#endif
