/* Whose files may become code that runs with errand's rights: nobody but root and errand's own user
 * may have put them there. */
#ifndef MODULE_TRUST_H
#define MODULE_TRUST_H

#include "base/err.h"

#include <sys/stat.h>

bool trust_directory(const char *path, struct err *err);
/* A regular file (no symbolic link): of those two, writable by nobody else. found: of fstat or
 * lstat. */
bool trust_found(const struct stat *found, struct err *err);
bool trust_file(const char *path, struct err *err);

#endif
