/* What is sent for a statement: its text, rewritten once where errand is installed in a schema of
 * another name. A statement without a name is somebody else's SQL: it is sent as it is, and never
 * prepared, so its address may be another one's later. */
#ifndef DB_STATEMENT_TEXT_H
#define DB_STATEMENT_TEXT_H

#include <errand/errand.h>

struct statement_texts {
    const char *schema; /* borrowed; NULL: the one that the texts name */
    struct statement_text *texts;
};

void statement_texts_init(struct statement_texts *texts, const char *schema);
void statement_texts_clear(struct statement_texts *texts);

/* Lives until the clear. Statements are known by their address, so one must outlive this. */
const char *statement_text(struct statement_texts *texts, const struct errand_statement *statement);

#endif
