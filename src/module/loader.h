/* Plug-ins that are files: every NAME.so of one directory is opened, checked and listed beside
 * those that are linked in. One that is refused keeps its reason, and the others load. */
#ifndef MODULE_LOADER_H
#define MODULE_LOADER_H

#include "module/registry.h"

#include <errand/errand.h>

/* How a file is asked what it is. */
struct loader_asker {
    /* The module of NAME.so, in the arena. NULL: err has the reason. */
    const struct errand_module *(*describe)(const char *path, const char *name, struct arena *arena,
                                            struct err *err);
};

struct loader_file {
    char *path;
    char *name;                         /* NAME of NAME.so; NULL: the directory itself */
    const struct errand_module *module; /* NULL: refused */
    char *reason;                       /* of a refusal, a sentence; NULL: loaded */
};

struct loader {
    const struct errand_module *const *linked; /* ends with NULL; borrowed */
    const struct errand_module **modules;      /* linked and loaded; ends with NULL */
    size_t module_count;
    struct loader_file *files; /* in the order of their names */
    size_t file_count;
    struct registry registry; /* of all: who has which kind */
};

/* linked: a fault of theirs comes up again where the runner starts. */
struct loader *loader_new(const struct errand_module *const *linked);
void loader_free(struct loader *loader); /* and the modules of files with it */

/* Once. Has nothing described unless directory and file belong to root or to the user that runs,
 * and nobody else may write to them. */
void loader_load(struct loader *loader, const char *directory, const struct loader_asker *asker);

/* A line for each file, errors for those that were refused. */
void loader_log(const struct loader *loader);

#endif
