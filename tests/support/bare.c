/* An errand with no plug-in linked in: the probe is then loaded from a file, and runs in a process
 * of its own (tests/e2e/isolation_support.py). */
#include "module/linked.h"

#include <stddef.h>

const struct errand_module *const modules_linked[] = {NULL};
