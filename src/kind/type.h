/* The types of kinds that are files: told by the file's suffix; a file without a known one that may
 * be executed is a program. One const struct each, in a file of its own. */
#ifndef KIND_TYPE_H
#define KIND_TYPE_H

#include "base/err.h"

#include <errand/errand.h>
#include <sys/types.h>

struct kind_file;

struct kind_type {
    const char *suffix;      /* ".sql"; "": a program */
    enum errand_claim claim; /* where the file does not say */
    int cancel_grace_ms;     /* for its handler to tell what there is when it is to end */
    bool reads_text;         /* the whole file is wanted (at most 1 MiB), not its head alone */
    bool is_settings;        /* the file itself is what a sidecar is: [kind] key = value */
    /* Its own settings, beside those of every kind (kind_file_text and _integer read both). */
    const struct errand_setting *settings;
    size_t setting_count;
    /* Optional: checks what the file and its settings say, and makes of them what run needs. False:
     * the sentence says what is wrong; the file is refused, and close does not come. */
    bool (*open)(struct kind_file *file, struct err *err);
    /* The handler of each job: kind_file_of(job) is the version that the job started with. */
    void (*run)(struct errand_job *job);
    /* Optional: no job of this version starts any more; some may run. */
    void (*retire)(struct kind_file *file);
    /* Optional: nobody uses it any more. Its arena is freed behind it. */
    void (*close)(struct kind_file *file);
};

extern const struct kind_type kind_type_http, kind_type_program, kind_type_sql, kind_type_worker;
enum { KIND_TYPES = 4 };
extern const struct kind_type *const kind_types[KIND_TYPES];

/* The type of a file by its name and mode; NULL: none, it is no kind. */
const struct kind_type *kind_type_of(const char *name, mode_t mode);

#endif
