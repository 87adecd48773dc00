/* The structs of a plug-in in the form that this errand knows. One that was built with an older
 * header of the same ABI has smaller ones: they are copied, and what they do not have is zero. */
#ifndef MODULE_WIDEN_H
#define MODULE_WIDEN_H

#include "base/arena.h"
#include "base/err.h"

#include <errand/errand.h>

enum { WIDEN_RETRIES_MAX = 100 }; /* of one kind; more are not looked at */

/* The module itself where all its structs are of today's size, else a copy in the arena. NULL:
 * another ABI, or a size that no errand of this ABI has had up to now; the sentence says which. */
const struct errand_module *module_widen(struct arena *arena, const struct errand_module *module,
                                         struct err *err);

#endif
