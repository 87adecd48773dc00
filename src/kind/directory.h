/* The directory whose files are kinds: what was taken up of it, and what was refused and why. It is
 * looked at whole, and what has changed since the last look is put into the registry or taken out
 * of it. */
#ifndef KIND_DIRECTORY_H
#define KIND_DIRECTORY_H

#include "kind/file.h"
#include "module/registry.h"

/* What tells one state of a file and its sidecar from another. */
struct kind_stamp {
    dev_t device;
    ino_t inode, sidecar_inode;
    struct timespec changed, sidecar_changed;
};

struct kind_slot {
    char *path;
    const char *name;       /* of the file, in path */
    struct kind_file *file; /* that is in the registry; NULL: none. The registry's */
    char *reason;           /* why what stands there now was refused; NULL: it was not */
    struct kind_stamp stamp;
    bool present;
    bool writing; /* somebody writes to it: what is there is left alone until it is closed */
    struct kind_slot *next;
};

struct kind_directory {
    char *path;
    struct registry *registry;
    struct kind_slot *slots; /* by name */
    char *reason;            /* why the directory itself was refused; NULL: it was not */
};

void kind_directory_init(struct kind_directory *directory, const char *path,
                         struct registry *registry);
/* Takes its kinds out of the registry. */
void kind_directory_clear(struct kind_directory *directory);
/* Looks at all files; true: the registry has changed. Tells the log what was taken, changed,
 * removed or refused unless quiet. */
bool kind_directory_scan(struct kind_directory *directory, bool quiet);
/* Somebody has begun, or ended, to write to a file, by its name. False: the name is nobody's to
 * look at (a dot file, what editors leave). */
bool kind_directory_mark(struct kind_directory *directory, const char *name, bool writing);
/* Marks that were missed must not stay for ever. */
void kind_directory_unmark_all(struct kind_directory *directory);

#endif
