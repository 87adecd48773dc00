/* What the system says of this process. */
#ifndef WEB_PROCESS_H
#define WEB_PROCESS_H

struct process_usage {
    double cpu_s;
    long long resident_bytes, virtual_bytes;
    long long descriptors, descriptors_max;
};

/* What cannot be read is -1. */
void process_usage_read(struct process_usage *usage);

#endif
