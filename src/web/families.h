/* The families of /metrics: which there are, and how each is written. Asks nobody. */
#ifndef WEB_FAMILIES_H
#define WEB_FAMILIES_H

#include "httpd/httpd.h"
#include "web/callbacks.h"
#include "web/depths.h"
#include "web/receive.h"

struct runner;

struct families_source {
    const struct runner *runner;
    const struct httpd *server;
    const struct receive *receive;
    const struct callbacks *callbacks;
    const struct depths *depths;
    int64_t started_us; /* since 1970 */
};

void families_write(const struct families_source *source, struct buf *buf);

#endif
