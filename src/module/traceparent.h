/* The W3C trace context of one field, traceparent: version-traceid-parentid-flags, as
 * 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01. */
#ifndef MODULE_TRACEPARENT_H
#define MODULE_TRACEPARENT_H

#include <stdbool.h>
#include <stdint.h>

enum { TRACEPARENT_BYTES = 56 }; /* with the NUL */

bool traceparent_is_valid(const char *text);
/* The same trace under a span of its own, which follows from the trace, the id and the number, and
 * from nothing else. False: parent is no traceparent. */
bool traceparent_child(char child[TRACEPARENT_BYTES], const char *parent, int64_t id, int number);

#endif
