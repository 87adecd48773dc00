/* A plug-in that is a file, opened in this process: its code runs here from now on. */
#ifndef MODULE_PLUGIN_H
#define MODULE_PLUGIN_H

#include "base/arena.h"
#include "base/err.h"

#include <errand/errand.h>

enum { PLUGIN_NAME_MAX = 48 };

/* The module NAME of the file in the form that this errand knows (in the arena where it was built
 * for an older one); its tables can be read. What was opened stays in memory. NULL: err has a
 * sentence that says why, and nothing stays. */
const struct errand_module *plugin_open(const char *path, const char *name, struct arena *arena,
                                        struct err *err);

#endif
