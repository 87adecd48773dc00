/* What became of every migration: the files in the binary set against the records in the database.
 * Reads only. */
#ifndef CLI_MIGRATION_LIST_H
#define CLI_MIGRATION_LIST_H

#include "cli/checksum.h"
#include "cli/migration_file.h"
#include "cli/migration_set.h"
#include "cli/session.h"

enum migration_state {
    MIGRATION_PENDING,
    MIGRATION_APPLIED,
    MIGRATION_ADOPTED,  /* its tables stood already; recorded, nothing changed */
    MIGRATION_UNNEEDED, /* set auth, where auth.users is somebody else's */
    MIGRATION_CHANGED,  /* recorded with another checksum: the file was edited afterwards */
    MIGRATION_NEWER     /* recorded, and unknown to this binary */
};

struct migration {
    const struct migration_file *file; /* NULL: MIGRATION_NEWER */
    enum migration_state state;
    enum migration_set set; /* MIGRATION_SET_COUNT: one that this binary does not know */
    int number;
    char checksum[CHECKSUM_TEXT_BYTES]; /* of the file */
    char *set_name, *name;              /* owned */
    char *applied_at, *applied_by;      /* owned; NULL: not recorded */
};

struct migration_list {
    struct migration *items; /* in the order of application; newer ones last */
    size_t count;
    bool has_records;   /* errand.migration stands */
    bool has_auth;      /* auth.users stands */
    bool has_vector;    /* pgvector can be created */
    bool has_supabase;  /* Supabase's own migration tool was here */
    long domain_tables; /* how many of the twelve stand */
    char *email_schema; /* owned; of the errand whose triggers watch the messages; NULL: none */
    int server_version;
};

/* On false nothing is to be cleared. */
bool migration_list_load(struct migration_list *list, struct session *session, struct err *err);
void migration_list_clear(struct migration_list *list);

const char *migration_state_name(enum migration_state state);
size_t migration_list_recorded(const struct migration_list *list, enum migration_set set);

/* The last migration of a set that this binary does not know; NULL: none. */
const char *migration_list_newer(const struct migration_list *list, enum migration_set set);

/* Whether all migrations of a set that this binary has are recorded: then it works, also when there
 * are newer ones, because those only add (docs/architecture.md). False with ERR_CONFIG: the tables
 * are missing or older, and *hint says what to do. */
bool migration_list_fits(const struct migration_list *list, const char *place,
                         enum migration_set set, const char **hint, struct err *err);

/* The same, with the list read for it. With another code or an sqlstate the reading failed. */
bool migration_list_check(struct session *session, enum migration_set set, const char **hint,
                          struct err *err);

#endif
