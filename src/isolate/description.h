/* What a plug-in said of itself in its host process (host/describe.c), as the struct that the rest
 * of errand knows. */
#ifndef ISOLATE_DESCRIPTION_H
#define ISOLATE_DESCRIPTION_H

#include "base/arena.h"
#include "base/err.h"

#include <errand/errand.h>

/* Fills in the module, all of it in the arena, but for the functions: kinds have run or run_batch
 * where the plug-in has. Behind the plug-in's settings stand errand's own of it. False: the text is
 * no description, or takes what is errand's. */
bool description_read(const char *text, struct arena *arena, struct errand_module *module,
                      struct err *err);

#endif
