#include "module/trust.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool trust_owner(const struct stat *found, const char *what, struct err *err)
{
    if (found->st_uid != 0 && found->st_uid != geteuid())
        return err_set(err, ERR_CONFIG,
                       "%s belongs to user %u; it must be root's or that of the user who runs "
                       "errand (%u)",
                       what, (unsigned)found->st_uid, (unsigned)geteuid());
    if (found->st_mode & (S_IWGRP | S_IWOTH))
        return err_set(err, ERR_CONFIG, "%s is writable by %s (mode %04o): chmod go-w", what,
                       found->st_mode & S_IWOTH ? "everybody" : "its group",
                       (unsigned)(found->st_mode & 07777));
    return true;
}

bool trust_found(const struct stat *found, struct err *err)
{
    if (S_ISLNK(found->st_mode))
        return err_set(err, ERR_CONFIG, "it is a symbolic link, not a regular file");
    if (!S_ISREG(found->st_mode))
        return err_set(err, ERR_CONFIG, "it is not a regular file");
    return trust_owner(found, "the file", err);
}

bool trust_file(const char *path, struct err *err)
{
    struct stat found;
    if (lstat(path, &found) != 0)
        return err_set(err, ERR_CONFIG, "the file cannot be looked at: %s", strerror(errno));
    return trust_found(&found, err);
}

bool trust_directory(const char *path, struct err *err)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return err_set(err, ERR_CONFIG, "the directory cannot be looked at: %s", strerror(errno));
    if (!S_ISDIR(found.st_mode))
        return err_set(err, ERR_CONFIG, "it is not a directory");
    return trust_owner(&found, "the directory", err);
}
