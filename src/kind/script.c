#include "kind/script.h"

#include "base/buf.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct scanner {
    struct script *script;
    struct arena *arena;
    struct err *err;
    const char *at;
    int line;
    int depth; /* of parentheses */
    struct buf text;
    struct script_use use;
    bool started; /* something of the statement under way was seen */
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Copies up to where; lines are counted. */
static void scanner_copy(struct scanner *scanner, const char *where)
{
    for (const char *at = scanner->at; at < where; at++)
        scanner->line += *at == '\n';
    buf_add(&scanner->text, scanner->at, (size_t)(where - scanner->at));
    scanner->at = where;
}

static bool scanner_fail(const struct scanner *scanner, const char *what, const char *word,
                         size_t length)
{
    return err_set(scanner->err, ERR_CONFIG, "line %d: %.*s%s", scanner->line,
                   (int)(length < 60 ? length : 60), word, what);
}

/* ---- What is left alone ---- */

/* Behind a quoted text; escapes: a backslash takes the next character. */
static const char *quoted_end(const char *at, char quote, bool escapes)
{
    while (*at) {
        if (escapes && *at == '\\' && at[1])
            at += 2;
        else if (*at != quote)
            at++;
        else if (at[1] == quote)
            at += 2;
        else
            return at + 1;
    }
    return NULL;
}

static const char *comment_end(const char *at)
{
    int depth = 1;
    while (*at && depth > 0) {
        int step = strncmp(at, "/*", 2) == 0 ? 1 : strncmp(at, "*/", 2) == 0 ? -1 : 0;
        depth += step;
        at += step ? 2 : 1;
    }
    return depth ? NULL : at;
}

/* Behind $tag$ ... $tag$; the same place: no dollar quote begins here. */
static const char *dollar_end(const char *at)
{
    const char *tag = at + 1;
    while (is_word(*tag))
        tag++;
    if (*tag != '$' || isdigit((unsigned char)at[1]))
        return at;
    size_t length = (size_t)(tag + 1 - at);
    for (const char *end = tag + 1; (end = strchr(end, '$')); end++)
        if (strncmp(end, at, length) == 0)
            return end + length;
    return NULL;
}

/* E'...': the letter stands by itself. */
static bool has_escapes(const char *at, const char *text)
{
    return at > text && (at[-1] == 'e' || at[-1] == 'E') && (at - 1 == text || !is_word(at[-2]));
}

/* Of a quote, a dollar quote or a comment that begins here, its end; the same place: none does;
 * NULL: it does not end. */
static const char *opaque_end(const char *at, const char *text)
{
    if (strncmp(at, "--", 2) == 0)
        return at + strcspn(at, "\n");
    if (strncmp(at, "/*", 2) == 0)
        return comment_end(at + 2);
    if (*at == '\'')
        return quoted_end(at + 1, '\'', has_escapes(at, text));
    if (*at == '"')
        return quoted_end(at + 1, '"', false);
    return *at == '$' && (at == text || !is_word(at[-1])) ? dollar_end(at) : at;
}

/* ---- Statements ---- */

/* Words that begin a statement which cannot run as one of several in a transaction of errand's, on
 * a connection that others use after it. */
static bool scanner_check_first(const struct scanner *scanner)
{
    static const char *const control[] = {"begin", "start",     "commit",  "end",    "rollback",
                                          "abort", "savepoint", "release", "prepare"},
                             *const session[] = {"set",        "reset",   "discard", "listen",
                                                 "unlisten",   "declare", "copy",    "execute",
                                                 "deallocate", "load"};
    size_t length = 0;
    while (is_word(scanner->at[length]))
        length++;
    for (size_t i = 0; i < sizeof control / sizeof *control; i++)
        if (strlen(control[i]) == length && strncasecmp(scanner->at, control[i], length) == 0)
            return scanner_fail(scanner, ": begin and end of the transaction are errand's",
                                scanner->at, length);
    for (size_t i = 0; i < sizeof session / sizeof *session; i++)
        if (strlen(session[i]) == length && strncasecmp(scanner->at, session[i], length) == 0)
            return scanner_fail(scanner, " is not for a job: others use the connection, too",
                                scanner->at, length);
    return true;
}

static bool scanner_end_statement(struct scanner *scanner)
{
    struct script *script = scanner->script;
    if (scanner->started) {
        if (script->count == SCRIPT_STATEMENTS_MAX)
            return scanner_fail(scanner, "there are more than 100 statements", "", 0);
        script->statements[script->count].text =
            arena_strdup(scanner->arena, buf_text(&scanner->text));
        script->uses[script->count++] = scanner->use;
    }
    buf_reset(&scanner->text);
    scanner->use.count = 0;
    scanner->started = false;
    return true;
}

/* ---- Parameters ---- */

static bool scanner_parameter(struct scanner *scanner)
{
    static const struct {
        const char *name, *type;
    } parameters[] = {
        [SCRIPT_ARGS] = {"args", "jsonb"},
        [SCRIPT_ID] = {"id", "int8"},
        [SCRIPT_ATTEMPT] = {"attempt", "int4"},
        [SCRIPT_TRACE] = {"trace", "text"},
    };
    struct script_use *use = &scanner->use;
    const char *name = scanner->at + 1;
    size_t length = 0, number = 0;
    enum script_parameter which = SCRIPT_ARGS;
    while (is_word(name[length]))
        length++;
    while (which < SCRIPT_PARAMETERS && (strlen(parameters[which].name) != length ||
                                         strncmp(parameters[which].name, name, length) != 0))
        which++;
    if (which == SCRIPT_PARAMETERS)
        return scanner_fail(scanner,
                            " is no parameter: there are :args, :id, :attempt and :trace (in a "
                            "slice, put a blank behind the colon)",
                            scanner->at, length + 1);
    while (number < use->count && use->of[number] != which)
        number++;
    if (number == use->count)
        use->of[use->count++] = which;
    buf_printf(&scanner->text, "($%zu::pg_catalog.%s)", number + 1, parameters[which].type);
    scanner->at = name + length;
    return true;
}

/* One piece that is not opaque: an operator, a word, a blank. */
static bool scanner_piece(struct scanner *scanner)
{
    const char *at = scanner->at;
    if (!scanner->started && !isspace((unsigned char)*at) && *at != ';') {
        if (!scanner_check_first(scanner))
            return false;
        scanner->started = true;
    }
    if (*at == ';' && scanner->depth == 0) {
        scanner->at++;
        return scanner_end_statement(scanner);
    }
    if (*at == ':' && (isalpha((unsigned char)at[1]) || at[1] == '_'))
        return scanner_parameter(scanner);
    if (*at == '$' && isdigit((unsigned char)at[1]))
        return scanner_fail(scanner, ": a parameter is written :args, :id, :attempt or :trace", at,
                            2);
    scanner->depth += *at == '(' ? 1 : *at == ')' && scanner->depth > 0 ? -1 : 0;
    const char *end = at + 1;
    if (is_word(*at))
        while (is_word(*end) || *end == '$') /* a name may hold it */
            end++;
    else if (strncmp(at, "::", 2) == 0)
        end++;
    scanner_copy(scanner, end);
    return true;
}

static bool scanner_run(struct scanner *scanner, const char *text)
{
    while (*scanner->at) {
        const char *end = opaque_end(scanner->at, text);
        if (!end)
            return scanner_fail(scanner, ": what begins here does not end", scanner->at, 2);
        if (end == scanner->at) {
            if (!scanner_piece(scanner))
                return false;
            continue;
        }
        scanner->started |= *scanner->at == '\'' || *scanner->at == '"' || *scanner->at == '$';
        scanner_copy(scanner, end);
    }
    return scanner_end_statement(scanner);
}

bool script_parse(struct script *script, struct arena *arena, const char *text, struct err *err)
{
    struct scanner scanner = {.script = script, .arena = arena, .err = err, .at = text, .line = 1};
    *script = (struct script){
        .statements = arena_zalloc(arena, SCRIPT_STATEMENTS_MAX * sizeof *script->statements),
        .uses = arena_zalloc(arena, SCRIPT_STATEMENTS_MAX * sizeof *script->uses)};
    buf_init(&scanner.text, 0);
    bool ok = scanner_run(&scanner, text);
    buf_clear(&scanner.text);
    if (ok && script->count == 0)
        return err_set(err, ERR_CONFIG, "there is no statement in it");
    return ok;
}
