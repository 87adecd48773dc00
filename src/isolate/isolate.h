/* Plug-ins of strangers, whose code never runs in this process: what they say of themselves, their
 * start hook and each attempt of their jobs run in errand-host (src/host). To the rest of errand
 * they are modules like others. */
#ifndef ISOLATE_ISOLATE_H
#define ISOLATE_ISOLATE_H

#include "base/arena.h"
#include "base/err.h"
#include "config/settings.h"

#include <errand/errand.h>

/* Asks the file what it is, within some seconds. NULL: it refuses, crashes or does not answer, and
 * err has a sentence. The module lives in the arena. */
const struct errand_module *isolate_describe(const char *path, const char *name,
                                             struct arena *arena, struct err *err);
/* Before the modules start, with all settings known: those of them that the operator wants inside
 * errand (isolation = none) are opened here, and call their own functions from then on. False: a
 * setting is wrong, or one does not open. Modules of others are left alone. */
bool isolate_settle(const struct errand_module *const *modules, const struct settings *settings,
                    struct err *err);

#endif
