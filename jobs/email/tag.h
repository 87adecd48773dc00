/* Tags of a mail, by which the provider's events find their message. */
#ifndef EMAIL_TAG_H
#define EMAIL_TAG_H

#include "error.h"

#include <jansson.h>
#include <stdbool.h>

enum { TAG_BYTES = 256, TAG_MAX_LIST = 50 };

/* Whether text can be a tag's name or value. */
bool tag_check(const char *text);

/* Checks the tags of from ({"name": "value"}, [{"name", "value"}], null or NULL) and puts them into
 * tags, an object, so that a later value of the same name wins. */
bool tag_list_add(json_t *tags, const json_t *from, struct email_error *error);

/* The request's form of tags: a new array that begins with the tag message_id. */
json_t *tag_list_array(const char *message_id, json_t *tags);

#endif
