#include "db/statement_text.h"

#include "base/mem.h"
#include "base/schema.h"

#include <stdlib.h>
#include <uthash.h>

struct statement_text {
    const struct errand_statement *statement;
    char *text;
    UT_hash_handle hh;
};

void statement_texts_init(struct statement_texts *texts, const char *schema)
{
    *texts = (struct statement_texts){0};
    if (schema && !schema_is_default(schema))
        texts->schema = schema;
}

void statement_texts_clear(struct statement_texts *texts)
{
    struct statement_text *each, *next;
    HASH_ITER(hh, texts->texts, each, next)
    {
        HASH_DEL(texts->texts, each);
        free(each->text);
        free(each);
    }
}

const char *statement_text(struct statement_texts *texts, const struct errand_statement *statement)
{
    struct statement_text *found;
    struct buf text;
    if (!texts->schema || !statement->name)
        return statement->text;
    HASH_FIND_PTR(texts->texts, &statement, found);
    if (found)
        return found->text;
    buf_init(&text, 0);
    schema_rewrite(&text, statement->text, texts->schema);
    found = mem_zalloc(sizeof *found);
    found->statement = statement;
    found->text = buf_steal(&text);
    HASH_ADD_PTR(texts->texts, statement, found);
    return found->text;
}
