#include "http/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct prefix {
    unsigned char bytes[12];
    int bits;
    const char *what;
};

static const struct prefix v4_prefixes[] = {
    {{0}, 8, "unspecified"},
    {{10}, 8, "private"},
    {{100, 64}, 10, "shared by a carrier (CGNAT)"},
    {{127}, 8, "loopback"},
    {{169, 254}, 16, "link-local"},
    {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "reserved for protocols"},
    {{192, 0, 2}, 24, "for documentation"},
    {{192, 88, 99}, 24, "a 6to4 relay"},
    {{192, 168}, 16, "private"},
    {{198, 18}, 15, "for benchmarks"},
    {{198, 51, 100}, 24, "for documentation"},
    {{203, 0, 113}, 24, "for documentation"},
    {{224}, 4, "multicast"},
    {{240}, 4, "reserved"},
};

/* Before the test for 2000::/3, outside of which nothing is public. */
static const struct prefix v6_prefixes[] = {
    {{0xFC}, 7, "unique local (ULA)"},
    {{0xFE, 0x80}, 10, "link-local"},
    {{0xFE, 0xC0}, 10, "site-local"},
    {{0xFF}, 8, "multicast"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96, "an IPv4 address mapped into IPv6"},
    {{0x01, 0}, 64, "to be discarded"},
    {{0x20, 0x01, 0, 0}, 32, "a Teredo tunnel"},
    {{0x20, 0x01, 0}, 23, "reserved for protocols"},
    {{0x20, 0x01, 0x0D, 0xB8}, 32, "for documentation"},
    {{0x3F, 0xFF, 0}, 20, "for documentation"},
};

static bool prefix_holds(const struct prefix *prefix, const unsigned char *address)
{
    size_t whole = (size_t)prefix->bits / 8;
    int rest = prefix->bits % 8;
    if (memcmp(prefix->bytes, address, whole) != 0)
        return false;
    return rest == 0 || ((prefix->bytes[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

static const char *prefixes_find(const struct prefix *prefixes, size_t count,
                                 const unsigned char *address)
{
    for (size_t i = 0; i < count; i++)
        if (prefix_holds(&prefixes[i], address))
            return prefixes[i].what;
    return NULL;
}

const char *address_v4_refusal(const unsigned char address[4])
{
    return prefixes_find(v4_prefixes, sizeof v4_prefixes / sizeof *v4_prefixes, address);
}

const char *address_v6_refusal(const unsigned char address[16])
{
    static const unsigned char zeros[16];
    static const struct prefix nat64 = {{0, 0x64, 0xFF, 0x9B}, 96, ""};
    static const struct prefix six_to_four = {{0x20, 0x02}, 16, ""};
    static const struct prefix global = {{0x20}, 3, ""};
    if (memcmp(address, zeros, 15) == 0 && address[15] <= 1)
        return address[15] ? "loopback" : "unspecified";
    if (prefix_holds(&nat64, address) && address_v4_refusal(address + 12))
        return "NAT64 of an IPv4 address that is not public";
    if (prefix_holds(&six_to_four, address) && address_v4_refusal(address + 2))
        return "6to4 of an IPv4 address that is not public";
    const char *what =
        prefixes_find(v6_prefixes, sizeof v6_prefixes / sizeof *v6_prefixes, address);
    if (what || prefix_holds(&global, address) || prefix_holds(&nat64, address))
        return what;
    return "not a global unicast address";
}
