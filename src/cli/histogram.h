/* The histograms of errand.statistic: 32 buckets, where bucket n (from 1) counts what took less
 * than 2^n * 64 us and the last one all that took longer. */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stdbool.h>

enum { HISTOGRAM_BUCKETS = 32, HISTOGRAM_TIME_BYTES = 40 };

struct histogram {
    long long counts[HISTOGRAM_BUCKETS];
    long long total;
};

/* A PostgreSQL array of 32 counts. False: it is none. */
bool histogram_parse(struct histogram *histogram, const char *array);

/* The time in microseconds that a share (0.5) of all stayed below, spread evenly within its bucket;
 * negative when nothing was counted. */
double histogram_quantile(const struct histogram *histogram, double share);

/* As people read it, with two or three digits: "0.3ms", "42ms", "1.3s", "2m10s", "3h05m"; "" when
 * negative. */
void histogram_print_time(char text[HISTOGRAM_TIME_BYTES], double us);

#endif
