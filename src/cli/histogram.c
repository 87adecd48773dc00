#include "cli/histogram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

bool histogram_parse(struct histogram *histogram, const char *array)
{
    *histogram = (struct histogram){.total = 0};
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        char *end;
        if (*array++ != (i ? ',' : '{') || *array < '0' || *array > '9')
            return false;
        errno = 0;
        histogram->counts[i] = strtoll(array, &end, 10);
        if (errno != 0)
            return false;
        histogram->total += histogram->counts[i];
        array = end;
    }
    return array[0] == '}' && array[1] == '\0';
}

/* Of bucket i, from 0: where it begins; where it ends is where the next one begins. */
static double bucket_begin(int i)
{
    return i == 0 ? 0 : (double)(64LL << i);
}

double histogram_quantile(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->total, before = 0;
    if (histogram->total <= 0)
        return -1;
    for (int i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        double count = (double)histogram->counts[i];
        if (count > 0 && before + count >= wanted)
            return bucket_begin(i) +
                   (bucket_begin(i + 1) - bucket_begin(i)) * (wanted - before) / count;
        before += count;
    }
    return bucket_begin(HISTOGRAM_BUCKETS - 1);
}

void histogram_print_time(char text[HISTOGRAM_TIME_BYTES], double us)
{
    long long seconds = (long long)(us / 1e6 + 0.5);
    if (us < 0)
        text[0] = '\0';
    else if (us < 9950)
        snprintf(text, HISTOGRAM_TIME_BYTES, "%.1fms", us / 1e3);
    else if (us < 999500)
        snprintf(text, HISTOGRAM_TIME_BYTES, "%.0fms", us / 1e3);
    else if (us < 59.5e6)
        snprintf(text, HISTOGRAM_TIME_BYTES, "%.1fs", us / 1e6);
    else if (seconds < 3600)
        snprintf(text, HISTOGRAM_TIME_BYTES, "%lldm%02llds", seconds / 60, seconds % 60);
    else
        snprintf(text, HISTOGRAM_TIME_BYTES, "%lldh%02lldm", seconds / 3600, seconds / 60 % 60);
}
