#include "kind/type.h"

#include <string.h>
#include <sys/stat.h>

const struct kind_type *const kind_types[KIND_TYPES] = {&kind_type_program, &kind_type_sql,
                                                        &kind_type_http, &kind_type_worker};

static bool type_is_of(const struct kind_type *type, const char *name)
{
    size_t length = strlen(name), suffix = strlen(type->suffix);
    return suffix > 0 && length > suffix && strcmp(name + length - suffix, type->suffix) == 0;
}

const struct kind_type *kind_type_of(const char *name, mode_t mode)
{
    for (size_t i = 0; i < KIND_TYPES; i++)
        if (type_is_of(kind_types[i], name))
            return kind_types[i];
    return mode & (S_IXUSR | S_IXGRP | S_IXOTH) ? &kind_type_program : NULL;
}
