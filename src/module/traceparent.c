#include "module/traceparent.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { TRACE_ID_AT = 3, TRACE_ID_LENGTH = 32, SPAN_AT = 36, SPAN_LENGTH = 16, FLAGS_AT = 53 };

static const char form[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_nought(const char *at, size_t length)
{
    return strspn(at, "0") >= length;
}

bool traceparent_is_valid(const char *text)
{
    for (size_t i = 0; i < sizeof form; i++)
        if (form[i] == 'x' ? !is_hex(text[i]) : text[i] != form[i])
            return false;
    return memcmp(text, "ff", 2) != 0 && !is_nought(text + TRACE_ID_AT, TRACE_ID_LENGTH) &&
           !is_nought(text + SPAN_AT, SPAN_LENGTH);
}

/* FNV-1a, and the end of splitmix64, so that neighbours have nothing in common. */
static uint64_t span_of(const char *parent, int64_t id, int number)
{
    char text[128];
    uint64_t hash = UINT64_C(14695981039346656037);
    snprintf(text, sizeof text, "%.55s %" PRId64 " %d", parent, id, number);
    for (const char *at = text; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
    hash ^= hash >> 31;
    return hash ? hash : 1;
}

bool traceparent_child(char child[TRACEPARENT_BYTES], const char *parent, int64_t id, int number)
{
    if (!traceparent_is_valid(parent))
        return false;
    snprintf(child, TRACEPARENT_BYTES, "00-%.32s-%016" PRIx64 "-%.2s", parent + TRACE_ID_AT,
             span_of(parent, id, number), parent + FLAGS_AT);
    return true;
}
