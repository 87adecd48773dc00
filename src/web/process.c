#include "web/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void usage_read_memory(struct process_usage *usage)
{
    long long pages, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return;
    if (fscanf(file, "%lld %lld", &pages, &resident) == 2) {
        usage->virtual_bytes = pages * sysconf(_SC_PAGESIZE);
        usage->resident_bytes = resident * sysconf(_SC_PAGESIZE);
    }
    fclose(file);
}

static void usage_read_descriptors(struct process_usage *usage)
{
    struct rlimit limit;
    DIR *names = opendir("/proc/self/fd");
    if (names) {
        usage->descriptors = -1; /* this one */
        for (const struct dirent *at; (at = readdir(names));)
            usage->descriptors += at->d_name[0] != '.';
        closedir(names);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        usage->descriptors_max = (long long)limit.rlim_cur;
}

void process_usage_read(struct process_usage *usage)
{
    struct rusage used;
    *usage = (struct process_usage){.cpu_s = -1,
                                    .resident_bytes = -1,
                                    .virtual_bytes = -1,
                                    .descriptors = -1,
                                    .descriptors_max = -1};
    if (getrusage(RUSAGE_SELF, &used) == 0)
        usage->cpu_s = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
    usage_read_memory(usage);
    usage_read_descriptors(usage);
}
