/* The plug-ins that are linked into this binary: a list that CMake generates from jobs/. */
#ifndef MODULE_LINKED_H
#define MODULE_LINKED_H

#include <errand/errand.h>

extern const struct errand_module *const modules_linked[]; /* ends with NULL */

#endif
