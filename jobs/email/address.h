/* Mail addresses as a provider takes them: `user@host` or `Name <user@host>`. Syntax only: whether
 * a mailbox exists is for the provider to say. */
#ifndef EMAIL_ADDRESS_H
#define EMAIL_ADDRESS_H

#include "error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    ADDRESS_TEXT_BYTES = EMAIL_LINE_BYTES, /* with the name */
    ADDRESS_BARE_BYTES = 254,              /* user@host */
    ADDRESS_LOCAL_BYTES = 64,              /* user */
    ADDRESS_MAX_LIST = 50
};

struct address {
    char text[ADDRESS_TEXT_BYTES + 1]; /* as given, without spaces around it */
    char bare[ADDRESS_BARE_BYTES + 1]; /* user@host, the host in lower case */
};

/* Reads text (NULL counts as empty). role begins the error: "recipient 'x' has no domain". Quoted
 * local parts, address literals, hosts without a dot and addresses outside ASCII are refused (an
 * international domain is written as xn--); names may be any UTF-8. */
bool address_parse(struct address *address, const char *text, const char *role,
                   struct email_error *error);

/* The form by which the suppression list knows an address: without name, the host in lower case. */
bool address_normalise(const char *text, char bare[ADDRESS_BARE_BYTES + 1],
                       struct email_error *error);

/* Reads one address or an array of at most ADDRESS_MAX_LIST into list (json array) as given and,
 * unless bare is NULL, into bare as user@host. Those whose bare form stands in leave_out (may be
 * NULL) are left out of both. */
bool address_list_read(json_t *list, json_t *bare, const json_t *value, const json_t *leave_out,
                       const char *role, struct email_error *error);

#endif
