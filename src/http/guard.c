#include "http/guard.h"

#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* NULL: public. Writes the address as text. */
static const char *refusal_of(const struct curl_sockaddr *address, char *text, size_t size)
{
    const char *at = (const char *)address + offsetof(struct curl_sockaddr, addr);
    snprintf(text, size, "an address of family %d", address->family);
    if (address->family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, at, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, (socklen_t)size);
        return address_v4_refusal((const unsigned char *)&v4.sin_addr);
    }
    if (address->family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, at, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, text, (socklen_t)size);
        return address_v6_refusal((const unsigned char *)&v6.sin6_addr);
    }
    return "neither IPv4 nor IPv6";
}

static curl_socket_t on_open(void *owner, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct guard *guard = owner;
    char text[INET6_ADDRSTRLEN + 32];
    (void)purpose;
    const char *why = refusal_of(address, text, sizeof text);
    if (!why)
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    snprintf(guard->refused, sizeof guard->refused,
             "%s is %s: this request may go to public addresses only", text, why);
    return CURL_SOCKET_BAD;
}

void guard_apply(struct guard *guard, CURL *easy)
{
    guard->on = true;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* also none of the environment's */
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, guard);
}

const char *guard_refusal(const struct guard *guard, CURLcode code)
{
    if (!guard->on)
        return NULL;
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return "the url is not https: this request may go over https only";
    return code == CURLE_COULDNT_CONNECT && guard->refused[0] ? guard->refused : NULL;
}
