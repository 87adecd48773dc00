/* Whom a proxy speaks for: the client's address out of the head of a request that a proxy we trust
 * has sent. Pure. */
#ifndef HTTPD_FORWARDED_H
#define HTTPD_FORWARDED_H

#include "httpd/origin.h"

enum forwarded_header { FORWARDED_X_FOR /* X-Forwarded-For */, FORWARDED_RFC /* Forwarded */ };

bool forwarded_header_parse(const char *name, enum forwarded_header *header);

/* head: judged well. Of the addresses that the header lists (each proxy adds the one it saw behind
 * the others) the last one that is no trusted proxy's; *client is left as it is where there is
 * none, or where it is hidden. */
void forwarded_client(const char *head, size_t length, enum forwarded_header header,
                      const struct origin_list *trusted, struct origin *client);

#endif
