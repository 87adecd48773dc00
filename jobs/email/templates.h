/* The templates of a directory: NAME.subject.txt, NAME.html and NAME.txt are the parts of template
 * NAME. Other files are left alone. */
#ifndef EMAIL_TEMPLATES_H
#define EMAIL_TEMPLATES_H

#include "error.h"
#include "message.h"

enum { TEMPLATES_MAX = 1000, TEMPLATES_NAME_BYTES = 60, TEMPLATES_FILE_BYTES = 1 << 20 };

struct templates {
    struct message_template *list; /* by name */
    size_t count;
};

/* Reads and checks them all; blocks on the disk. On failure error names the file and the place, and
 * templates holds nothing. */
bool templates_load(struct templates *templates, const char *directory, struct email_error *error);
void templates_clear(struct templates *templates);

#endif
