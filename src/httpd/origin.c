#include "httpd/origin.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { V4_AT = 12 };

static const unsigned char mapped[V4_AT] = {[10] = 0xff, [11] = 0xff};

static bool origin_is_v4(const struct origin *address)
{
    return memcmp(address->bytes, mapped, V4_AT) == 0;
}

static struct origin origin_of_v4(const struct in_addr *v4)
{
    struct origin address = {.known = true};
    memcpy(address.bytes, mapped, V4_AT);
    memcpy(address.bytes + V4_AT, v4, 4);
    return address;
}

struct origin origin_of(const struct sockaddr *peer)
{
    struct origin address = {0};
    if (peer->sa_family == AF_INET)
        return origin_of_v4(&((const struct sockaddr_in *)(const void *)peer)->sin_addr);
    if (peer->sa_family == AF_INET6) {
        address.known = true;
        memcpy(address.bytes, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
    }
    return address;
}

static bool origin_parse_bare(struct origin *address, const char *text)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *address = origin_of_v4(&v4);
        return true;
    }
    *address = (struct origin){.known = true};
    return inet_pton(AF_INET6, text, address->bytes) == 1;
}

bool origin_parse(struct origin *address, const char *text, size_t length)
{
    char bare[64];
    if (length == 0 || length >= sizeof bare)
        return false;
    memcpy(bare, text, length);
    bare[length] = '\0';
    char *colon = strchr(bare, ':');
    if (bare[0] == '[') {
        char *end = strchr(bare, ']');
        if (!end || (end[1] != ':' && end[1]))
            return false;
        *end = '\0';
        return origin_parse_bare(address, bare + 1);
    }
    if (colon && !strchr(colon + 1, ':'))
        *colon = '\0'; /* a port: IPv6 has more of them */
    return origin_parse_bare(address, bare);
}

void origin_text(const struct origin *address, char text[ORIGIN_TEXT_BYTES])
{
    if (!address->known)
        strcpy(text, "unix");
    else if (origin_is_v4(address))
        inet_ntop(AF_INET, address->bytes + V4_AT, text, ORIGIN_TEXT_BYTES);
    else
        inet_ntop(AF_INET6, address->bytes, text, ORIGIN_TEXT_BYTES);
}

struct origin origin_neighbours(const struct origin *address)
{
    struct origin network = *address;
    if (network.known && !origin_is_v4(&network))
        memset(network.bytes + 8, 0, 8);
    return network;
}

/* ---- Lists ---- */

static bool list_add(struct origin_list *list, char *text)
{
    struct origin address;
    char *slash = strchr(text, '/'), *end = NULL;
    if (strcmp(text, "unix") == 0) {
        list->with_unix = true;
        return true;
    }
    if (slash)
        *slash = '\0';
    if (list->count == ORIGIN_NETS_MAX || !origin_parse_bare(&address, text))
        return false;
    bool v4 = origin_is_v4(&address) && !strchr(text, ':');
    unsigned long most = v4 ? 32 : 128, bits = most;
    if (slash) {
        bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || bits > most)
            return false;
    }
    memcpy(list->nets[list->count].bytes, address.bytes, ORIGIN_BYTES);
    list->nets[list->count++].bits = (unsigned)bits + (v4 ? 8 * V4_AT : 0);
    return true;
}

bool origin_list_parse(struct origin_list *list, const char *spec, struct err *err)
{
    *list = (struct origin_list){0};
    char *copy = mem_strdup(spec ? spec : ""), *rest = copy;
    bool ok = true;
    for (char *text; ok && (text = strsep(&rest, ", "));) {
        char shown[64] = "";
        strncat(shown, text, sizeof shown - 1);
        ok = !*text || list_add(list, text) ||
             err_set(err, ERR_CONFIG,
                     "%s is no address, no network ADDRESS/BITS, and not the word unix (at most %d "
                     "of them)",
                     shown, ORIGIN_NETS_MAX);
    }
    free(copy);
    return ok;
}

static bool net_has(const unsigned char *net, unsigned bits, const unsigned char *bytes)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(net, bytes, whole) == 0 &&
           (!rest || (net[whole] ^ bytes[whole]) >> (8 - rest) == 0);
}

bool origin_list_has(const struct origin_list *list, const struct origin *address)
{
    if (!address->known)
        return list->with_unix;
    for (size_t i = 0; i < list->count; i++)
        if (net_has(list->nets[i].bytes, list->nets[i].bits, address->bytes))
            return true;
    return false;
}
