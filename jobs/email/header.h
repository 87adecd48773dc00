/* Headers that a message adds to its mail. */
#ifndef EMAIL_HEADER_H
#define EMAIL_HEADER_H

#include "error.h"

#include <jansson.h>
#include <stdbool.h>

enum { HEADER_NAME_BYTES = 76, HEADER_MAX_LIST = 50 };

/* Whether a header of this name and value may be added to a mail: no injection, and no header that
 * the request decides elsewhere (From, To, Subject, Content-*, ...). value may be NULL: no text. */
bool header_check(const char *name, const char *value, struct email_error *error);

/* Checks the headers of from (an object, null or NULL) and puts them into headers (object), in
 * place of those of the same name in any case. */
bool header_list_add(json_t *headers, const json_t *from, struct email_error *error);

#endif
