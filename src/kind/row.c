#include "kind/row.h"

#include "base/buf.h"
#include "base/str.h"

#include <string.h>

/* Types whose texts are JSON; PostgreSQL's numbers of them do not change. */
static bool type_is_json(Oid type, const char *text)
{
    enum {
        INT8 = 20,
        INT2 = 21,
        INT4 = 23,
        JSON = 114,
        FLOAT4 = 700,
        FLOAT8 = 701,
        NUMERIC = 1700,
        JSONB = 3802
    };
    switch (type) {
    case INT8:
    case INT2:
    case INT4:
    case JSON:
    case JSONB:
        return true;
    case FLOAT4:
    case FLOAT8:
    case NUMERIC:
        return strspn(text, "0123456789.+-eE") == strlen(text); /* no NaN, no Infinity */
    default:
        return false;
    }
}

static void buf_add_value(struct buf *buf, const PGresult *rows, int column)
{
    enum { BOOL = 16 };
    const char *text = PQgetvalue(rows, 0, column);
    Oid type = PQftype(rows, column);
    if (PQgetisnull(rows, 0, column)) {
        buf_add_text(buf, "null");
    } else if (type == BOOL) {
        buf_add_text(buf, text[0] == 't' ? "true" : "false");
    } else if (type_is_json(type, text)) {
        buf_add_text(buf, text);
    } else {
        buf_add_char(buf, '"');
        str_escape(buf, text, strlen(text));
        buf_add_char(buf, '"');
    }
}

const char *row_json(struct arena *arena, const PGresult *rows)
{
    struct buf buf;
    if (PQntuples(rows) == 0 || PQnfields(rows) == 0)
        return NULL;
    buf_init(&buf, 0);
    for (int column = 0; column < PQnfields(rows); column++) {
        const char *name = PQfname(rows, column);
        buf_add_text(&buf, column ? ",\"" : "{\"");
        str_escape(&buf, name, strlen(name));
        buf_add_text(&buf, "\":");
        buf_add_value(&buf, rows, column);
    }
    buf_add_char(&buf, '}');
    const char *json = arena_strdup(arena, buf_text(&buf));
    buf_clear(&buf);
    return json;
}
