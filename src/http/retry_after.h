/* The header Retry-After (RFC 9110, section 10.2.3). Pure. */
#ifndef HTTP_RETRY_AFTER_H
#define HTTP_RETRY_AFTER_H

#include <stdint.h>

enum { RETRY_AFTER_MAX_MS = 24 * 3600 * 1000 };

/* How long it asks to wait: 0 to RETRY_AFTER_MAX_MS, -1 when it cannot be read. value is a number
 * of seconds or a date. A date counts from that of the answer (`date`, the header's text), so that
 * clocks that differ do no harm; from now_s (since 1970) when that cannot be read. */
int64_t retry_after_ms(const char *value, const char *date, int64_t now_s);

#endif
