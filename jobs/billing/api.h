/* Lemon Squeezy's API: one request, and what its answer asks for. */
#ifndef BILLING_API_H
#define BILLING_API_H

#include <errand/errand.h>

/* From the settings, for as long as the module runs. False: errand_host_error() was called. */
bool api_start(struct errand_host *host);
void api_stop(void);
bool api_has_key(void);

/* The path of a page of the list of subscriptions, from 1 on; the path of a 'customer', with its
 * subscriptions, or of a 'subscription'. Until the attempt ends. */
const char *api_list_path(struct errand_job *job, int page);
const char *api_one_path(struct errand_job *job, const char *what, const char *id);

struct api_answer {
    bool missing;            /* 404: there is no such thing */
    const json_t *resources; /* an array, until the attempt ends; empty when missing */
    bool is_last;            /* of the pages of a list */
};

/* Asks. False: the job was finished as the answer's class has it: later, paused, or failed. */
bool api_get(struct errand_job *job, const char *path, struct api_answer *answer);

#endif
