/* A kind that is a file: what stands in the file and beside it, checked. It is one version; a
 * change of the file makes a new one. */
#ifndef KIND_FILE_H
#define KIND_FILE_H

#include "base/arena.h"
#include "kind/type.h"
#include "module/attempt.h"

struct endpoint;
struct kind_value;
struct script;
struct worker_pool;

struct kind_file {
    struct errand_kind errand;   /* what the registry holds; first, so that a handler finds us */
    struct errand_module module; /* the same; a type may set its statements */
    const struct kind_type *type;
    const char *path; /* absolute */
    const char *name; /* of the file, without the directory */
    const char *text; /* NUL-terminated behind text_bytes: the file, or its head */
    size_t text_bytes;
    int concurrency;
    struct kind_value *values;   /* what was set, the one that counts first */
    const struct script *script; /* of .sql */
    struct endpoint *endpoint;   /* of .http */
    struct worker_pool *pool;    /* of .worker */
    struct arena arena;          /* of all that belongs to it */
};

/* Opens path, whose last part is name, and of which kind_type_of knows the type. NULL: the sentence
 * says why it is refused; *untrusted: because others may have written it. */
struct kind_file *kind_file_new(const char *path, const char *name, bool *untrusted,
                                struct err *err);
void kind_file_free(struct kind_file *file);

static inline struct kind_file *kind_file_of(const struct errand_job *job)
{
    /* The registry was handed this struct's first member, to be kept for us. */
    return job->attempt->kind->life->owner;
}

/* A setting by its key, as set, or the table's initial value. The key is one of the table's. */
const char *kind_file_text(const struct kind_file *file, const char *key); /* NULL: unset */
/* All values of one that may be set several times, as they were set, at most so many; returns how
 * many there are. */
size_t kind_file_texts(const struct kind_file *file, const char *key, const char **texts,
                       size_t most);
long long kind_file_integer(const struct kind_file *file, const char *key); /* 0: unset */

#endif
