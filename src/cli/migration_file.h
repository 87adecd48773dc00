/* The migrations embedded in the binary: a table that CMake generates from
 * migrations/SET/NNN_name.sql. */
#ifndef CLI_MIGRATION_FILE_H
#define CLI_MIGRATION_FILE_H

#include <stddef.h>

struct migration_file {
    const char *set;  /* folder: "auth", "domain", "queue", "email" */
    const char *name; /* "001_initial_schema.sql" */
    const char *text;
    size_t length;
};

extern const struct migration_file migration_files[]; /* by set, then by number */
extern const size_t migration_file_count;

#endif
