/* probe.http: one request. Its args: {"url": "http://...", "timeout_ms": 5000}, and with
 * {"method": "POST"} the args themselves are its body. Done on an answer of 200 to 299; else it is
 * tried again or fails as errand_http_class says. */
#ifndef PROBE_REQUEST_H
#define PROBE_REQUEST_H

#include <errand/errand.h>

void probe_http(struct errand_job *job);

#endif
