/* A handler that looks at nothing and goes on for ever, with memory and a descriptor of its own:
 *     probe.stubborn {"wait": "sleep"}                        what it does again and again
 *                    {"wait": "http", "url": "http://..."}    a request
 *                    {"wait": "child", "argv": ["..."]}       a program
 *                    {"wait": "query"}                        a statement that takes half a second
 *                    {"wait": "rate"}                         the queue's rate
 *     probe.stubborn.late                                     the same, of a kind that may end
 * itself The ledger has its end when its cleanup function has run. */
#ifndef PROBE_STUBBORN_H
#define PROBE_STUBBORN_H

#include <errand/errand.h>

void probe_stubborn(struct errand_job *job);

#endif
