/* A plug-in whose job does nothing: what is left is the process that it runs in. */
#include <errand/errand.h>

static void none(struct errand_job *job)
{
    errand_done(job);
}

/* Claimed first, as kinds that are programs are. */
static const struct errand_kind kinds[] = {{.size = sizeof(struct errand_kind),
                                            .name = "isolated.none",
                                            .claim = ERRAND_CLAIM_FIRST,
                                            .run = none}};

extern const struct errand_module isolated_module;
ERRAND_EXPORT const struct errand_module isolated_module = {.abi = ERRAND_ABI,
                                                            .size = sizeof(struct errand_module),
                                                            .name = "isolated",
                                                            .version = "1",
                                                            .kinds = kinds,
                                                            .kind_count = 1};
