/* GET /metrics, in Prometheus' text format (families.h). */
#ifndef WEB_METRICS_H
#define WEB_METRICS_H

#include "web/families.h"

struct metrics;

/* What source points to is borrowed; its depths are filled in here. */
struct metrics *metrics_new(struct loop *loop, const struct settings *settings,
                            const struct families_source *source);
/* Who waits is answered in the call. NULL is nothing. */
void metrics_free(struct metrics *metrics);
void metrics_handle(struct metrics *metrics, struct httpd_request *request);

#endif
