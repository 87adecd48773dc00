/* Whether an IP address belongs to the public internet, by the special-purpose address registries
 * of IANA (RFC 6890). Pure. */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

/* address: 4 bytes of IPv4 or 16 of IPv6, in the network's order. NULL when it is public, else what
 * it is ("loopback", "private", ...). */
const char *address_v4_refusal(const unsigned char address[4]);
const char *address_v6_refusal(const unsigned char address[16]);

#endif
