#include "base/schema.h"

#include <stdio.h>
#include <string.h>

enum { SCHEMA_NAME_BYTES = 40 };

static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
static const char letters_and_digits[] = "abcdefghijklmnopqrstuvwxyz_0123456789";

/* pg_get_keywords() where catcode is R or T, of PostgreSQL 15 to 18; and schemas of others. */
static const char schema_reserved[] =
    " all analyse analyze and any array as asc asymmetric authorization binary both case "
    "cast check collate collation column concurrently constraint create cross "
    "current_catalog current_date current_role current_schema current_time "
    "current_timestamp current_user default deferrable desc distinct do else end except "
    "false fetch for foreign freeze from full grant group having ilike in initially inner "
    "intersect into is isnull join lateral leading left like limit localtime "
    "localtimestamp natural not notnull null offset on only or order outer overlaps "
    "placing primary references returning right select session_user similar some "
    "symmetric system_user table tablesample then to trailing true union unique user "
    "using variadic verbose when where window with public information_schema ";

static bool schema_is_reserved(const char *name)
{
    char word[SCHEMA_NAME_BYTES + 3];
    snprintf(word, sizeof word, " %s ", name);
    return strstr(schema_reserved, word) != NULL;
}

bool schema_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= SCHEMA_NAME_BYTES && strspn(name, letters) > 0 &&
           strspn(name, letters_and_digits) == length && strncmp(name, "pg_", 3) != 0 &&
           !schema_is_reserved(name);
}

bool schema_is_default(const char *name)
{
    return strcmp(name, SCHEMA_DEFAULT) == 0;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* Whether the words end where at stands. */
static bool follows(const char *text, const char *at, const char *words)
{
    size_t length = strlen(words), before = (size_t)(at - text);
    return before >= length && memcmp(at - length, words, length) == 0 &&
           (before == length || !is_word(at[-(ptrdiff_t)length - 1]));
}

static bool names_schema(const char *text, const char *at)
{
    char next = at[sizeof SCHEMA_DEFAULT - 1];
    if (at > text && (is_word(at[-1]) || at[-1] == '.'))
        return false;
    if (next == '.')
        return true;
    return !is_word(next) &&
           (follows(text, at, "schema ") || follows(text, at, "schema if not exists "));
}

void schema_rewrite(struct buf *to, const char *text, const char *name)
{
    const char *rest = text;
    for (const char *at = text; (at = strstr(at, SCHEMA_DEFAULT));) {
        const char *behind = at + sizeof SCHEMA_DEFAULT - 1;
        if (names_schema(text, at)) {
            buf_add(to, rest, (size_t)(at - rest));
            buf_add_text(to, name);
            rest = behind;
        }
        at = behind;
    }
    buf_add_text(to, rest);
}
