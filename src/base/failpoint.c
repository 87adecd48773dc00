#include "base/failpoint.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifdef ERRAND_FAILPOINTS

bool failpoint_enabled(void)
{
    return getenv("ERRAND_FAILPOINT") != NULL;
}

void failpoint_reach(const char *prefix, const char *name)
{
    static long reached;
    const char *wanted = getenv("ERRAND_FAILPOINT");
    if (!wanted || !prefix)
        return;
    size_t prefix_length = strlen(prefix), name_length = strlen(name);
    if (strncmp(wanted, prefix, prefix_length) != 0 || wanted[prefix_length] != '.' ||
        strncmp(wanted + prefix_length + 1, name, name_length) != 0)
        return;
    const char *rest = wanted + prefix_length + 1 + name_length;
    if (*rest && *rest != ':')
        return;
    if (++reached >= (*rest ? strtol(rest + 1, NULL, 10) : 1))
        raise(SIGKILL);
}

#else

bool failpoint_enabled(void)
{
    return false;
}

void failpoint_reach(const char *prefix, const char *name)
{
    (void)prefix, (void)name;
}

#endif
