#include "loop/descriptor.h"

#include <limits.h>
#include <sys/resource.h>

static long long first_limit = -1;

long long descriptor_first_limit(void)
{
    return first_limit;
}

long long descriptor_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return LLONG_MAX;
    rlim_t before = limit.rlim_cur;
    if (first_limit < 0 && before <= LLONG_MAX)
        first_limit = (long long)before;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit.rlim_cur = before;
    return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > LLONG_MAX
               ? LLONG_MAX
               : (long long)limit.rlim_cur;
}
