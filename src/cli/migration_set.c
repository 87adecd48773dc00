#include "cli/migration_set.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const char *const migration_set_names[MIGRATION_SET_COUNT] = {
    [MIGRATION_SET_QUEUE] = "queue",     [MIGRATION_SET_AUTH] = "auth",
    [MIGRATION_SET_DOMAIN] = "domain",   [MIGRATION_SET_EMAIL] = "email",
    [MIGRATION_SET_BILLING] = "billing",
};

const char *migration_set_name(enum migration_set set)
{
    return migration_set_names[set];
}

enum migration_set migration_set_find(const char *name)
{
    unsigned set = 0;
    while (set < MIGRATION_SET_COUNT && strcmp(migration_set_names[set], name) != 0)
        set++;
    return (enum migration_set)set;
}

bool migration_set_parse(const char *list, unsigned *mask, struct err *err)
{
    *mask = 0;
    for (const char *at = list;; at++) {
        char name[32];
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name), at);
        enum migration_set set = migration_set_find(name);
        if (set == MIGRATION_SET_COUNT)
            return err_set(
                err, ERR_CONFIG,
                "there is no set of migrations '%s'; allowed: queue, auth, domain, email, billing",
                name);
        *mask |= 1u << set;
        at += length;
        if (!*at)
            return true;
    }
}
