/* What a handler must not do: probe.misuse {"what": "block", "ms": 300}  keeps the loop for so long
 *                                          {"what": "twice"}             finishes twice
 *                                          {"what": "late"}              asks the database when it
 * has finished
 *                                          {"what": "statement"}         names a statement that the
 * module does not have */
#ifndef PROBE_MISUSE_H
#define PROBE_MISUSE_H

#include <errand/errand.h>

void probe_misuse(struct errand_job *job);

#endif
