/* Addresses of clients, IPv4 and IPv6 in one form; and which of them are proxies whose word counts.
 * Pure. */
#ifndef HTTPD_ORIGIN_H
#define HTTPD_ORIGIN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { ORIGIN_BYTES = 16, ORIGIN_TEXT_BYTES = 46, ORIGIN_NETS_MAX = 64 };

struct origin {
    bool known;                        /* false: of a unix socket, or of no such family */
    unsigned char bytes[ORIGIN_BYTES]; /* IPv4: ::ffff:a.b.c.d */
};

struct origin origin_of(const struct sockaddr *peer);
/* As headers have it: 192.0.2.1, 192.0.2.1:443, 2001:db8::1, [2001:db8::1]:443. */
bool origin_parse(struct origin *address, const char *text, size_t length);
void origin_text(const struct origin *address, char text[ORIGIN_TEXT_BYTES]); /* "unix" */

/* Who shares a limit: an IPv4 address, or the /64 of an IPv6 one. */
struct origin origin_neighbours(const struct origin *address);

struct origin_list {
    struct {
        unsigned char bytes[ORIGIN_BYTES];
        unsigned bits;
    } nets[ORIGIN_NETS_MAX];
    size_t count;
    bool with_unix; /* whoever comes over a unix socket */
};

/* spec: separated by commas, each an address, a network ADDRESS/BITS, or the word unix; NULL: none.
 */
bool origin_list_parse(struct origin_list *list, const char *spec, struct err *err);
bool origin_list_has(const struct origin_list *list, const struct origin *address);

#endif
