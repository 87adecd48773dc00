/* The head of a request, judged before anything else reads it: what two servers could understand in
 * two ways is refused, so that nobody can smuggle a request past the one in front. Pure. */
#ifndef HTTPD_HEAD_H
#define HTTPD_HEAD_H

#include <stdbool.h>
#include <stddef.h>

enum { HEAD_MAX_BYTES = 16384, HEAD_MAX_FIELDS = 100 };

struct head_verdict {
    bool complete;   /* false, and status 0: more is to come */
    int status;      /* 0: may go on; else what to answer before closing */
    const char *why; /* a sentence */
    /* Of one that may go on: */
    size_t head_bytes, body_bytes; /* with the empty line; by Content-Length */
    bool is_plain;   /* the body comes behind the head by itself, as many bytes as that says */
    bool is_chunked; /* it comes in chunks by itself */
    bool keeps;      /* whoever sent it may send another one on the same connection */
};

/* data begins with the request line. max_body: of a Content-Length. */
struct head_verdict head_judge(const char *data, size_t length, size_t max_body);

#endif
