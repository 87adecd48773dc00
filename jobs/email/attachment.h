/* Attachments of a mail. */
#ifndef EMAIL_ATTACHMENT_H
#define EMAIL_ATTACHMENT_H

#include "error.h"

#include <jansson.h>
#include <stdbool.h>

enum {
    ATTACHMENT_MAX_LIST = 50,
    ATTACHMENT_MAX_BYTES = 40 * 1000 * 1000 /* Resend's border for all, counted in base64 */
};

/* Checks the attachments of from (an array) and puts them into list (array), in the request's form:
 * filename, content (base64 without line ends) or path (https), content_type, content_id. */
bool attachment_list_add(json_t *list, const json_t *from, struct email_error *error);

#endif
