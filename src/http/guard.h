/* The guard against requests to where they must not go (server-side request forgery): for a url
 * that somebody else has set. Only https, past no proxy, and only to public addresses; looked at
 * when the connection is made, so that a name that resolves differently the second time gets no
 * further. */
#ifndef HTTP_GUARD_H
#define HTTP_GUARD_H

#include <curl/curl.h>
#include <stdbool.h>

struct guard {
    bool on;
    char refused[160]; /* the address that was refused last, and why; "" */
};

/* guard lives as long as easy's transfer, which uses no connection that was made without a guard.
 */
void guard_apply(struct guard *guard, CURL *easy);
/* Why a transfer that ended with code was refused; NULL when it was not the guard. */
const char *guard_refusal(const struct guard *guard, CURLcode code);

#endif
