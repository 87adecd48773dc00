/* Mail addresses as a provider takes them: `user@host` or `Name <user@host>`. Syntax only: whether
 * a mailbox exists is for the provider to say. Also what all lines of a mail have in common, and
 * the error of the pure parts of this folder. */
#ifndef EMAIL_ADDRESS_H
#define EMAIL_ADDRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    EMAIL_ERROR_BYTES = 512,
    EMAIL_LINE_BYTES = 998, /* RFC 5322: a line without its end */
    EMAIL_HEADER_NAME_BYTES = 76,
    ADDRESS_TEXT_BYTES = EMAIL_LINE_BYTES, /* with the name */
    ADDRESS_BARE_BYTES = 254,              /* user@host */
    ADDRESS_LOCAL_BYTES = 64,              /* user */
    ADDRESS_MAX_LIST = 50
};

/* One line of valid UTF-8 without control characters, fit for failure_reason. */
struct email_error {
    char text[EMAIL_ERROR_BYTES];
};

/* Sets the text (longer ones are cut on a character); returns false, so that `return
 * email_error_set(...)` ends a function. */
bool email_error_set(struct email_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Copies any bytes as one line of text into out (size bytes, NUL included): runs of spaces and
 * control characters become one space, each byte that is not UTF-8 a '?', and what is too long is
 * cut on a character. out must not overlap bytes. */
void email_line_copy(char *out, size_t size, const char *bytes, size_t length);

/* Whether text is UTF-8 without control characters and line separators. */
bool email_line_check(const char *text);

/* Whether a header of this name and value may be added to a mail: no injection, and no header that
 * the request decides elsewhere (From, To, Subject, Content-*, ...). value may be NULL: no text. */
bool email_header_check(const char *name, const char *value, struct email_error *error);

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
