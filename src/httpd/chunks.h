/* The frame of a body that comes in chunks, judged before libmicrohttpd reads it, whose older
 * versions let a line end in LF alone. Pure. */
#ifndef HTTPD_CHUNKS_H
#define HTTPD_CHUNKS_H

#include <stddef.h>

enum chunks_verdict { CHUNKS_MORE /* is to come */, CHUNKS_WHOLE, CHUNKS_BAD };

/* data begins behind the head. */
enum chunks_verdict chunks_judge(const char *data, size_t length);

#endif
