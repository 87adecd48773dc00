#include "ledger.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int ledger_file = -1;

bool ledger_open(const char *path)
{
    ledger_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return ledger_file >= 0;
}

void ledger_close(void)
{
    if (ledger_file >= 0)
        close(ledger_file);
    ledger_file = -1;
}

bool ledger_is_open(void)
{
    return ledger_file >= 0;
}

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool ledger_write(const char *line, int length)
{
    return length > 0 && write(ledger_file, line, (size_t)length) == length;
}

bool ledger_start(const struct errand_job *job, const char *label)
{
    char line[256];
    if (ledger_file < 0)
        return true;
    int length =
        snprintf(line, sizeof line, "start %ld %" PRId64 " %d %s %" PRId64 " %" PRId64 " %.60s\n",
                 (long)getpid(), errand_id(job), errand_attempt(job), errand_kind_name(job),
                 clock_us(CLOCK_MONOTONIC), clock_us(CLOCK_REALTIME), *label ? label : "-");
    return ledger_write(line, length);
}

bool ledger_end(const struct errand_job *job, const char *outcome)
{
    char line[256];
    if (ledger_file < 0)
        return true;
    int length = snprintf(line, sizeof line, "end %ld %" PRId64 " %d %s %" PRId64 " %" PRId64 "\n",
                          (long)getpid(), errand_id(job), errand_attempt(job), outcome,
                          clock_us(CLOCK_MONOTONIC), clock_us(CLOCK_REALTIME));
    return ledger_write(line, length);
}
