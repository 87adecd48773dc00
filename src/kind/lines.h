/* Questions about what a program has written. */
#ifndef KIND_LINES_H
#define KIND_LINES_H

#include <errand/errand.h>

bool kind_text_is_blank(const char *text);
/* The last line that is not blank, at most 200 bytes of it; NULL: there is none. */
const char *kind_last_line(struct errand_job *job, const char *text);

#endif
