/* The plug-in of tests/e2e/test_queue_kinds.py: an errand that knows one kind which the real one
 * does not, and none of its others. */
#include "module/linked.h"

#include <errand/errand.h>

static void other_run(struct errand_job *job)
{
    errand_done(job);
}

static const struct errand_kind kinds[] = {
    {.size = sizeof(struct errand_kind), .name = "other.run", .run = other_run},
};

static const struct errand_module other_module = {
    .abi = ERRAND_ABI,
    .size = sizeof(struct errand_module),
    .name = "other",
    .version = "1",
    .kinds = kinds,
    .kind_count = 1,
};

const struct errand_module *const modules_linked[] = {&other_module, NULL};
