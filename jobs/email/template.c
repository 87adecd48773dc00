#include "template.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum token_type { TOKEN_TEXT, TOKEN_VALUE, TOKEN_RAW, TOKEN_SECTION, TOKEN_INVERTED, TOKEN_END };

/* A template is parsed into a flat array; a section and its end know each other's index, so that
 * rendering needs no recursion. */
struct token {
    enum token_type type;
    const char *start; /* the text, or the name */
    size_t length;
    size_t partner; /* of a section its end, of an end its section */
};

struct parser {
    const char *text, *end;
    struct token *tokens;
    size_t count, capacity;
    size_t open[TEMPLATE_MAX_DEPTH]; /* sections not yet closed */
    size_t depth;
    struct template_error *error;
};

struct tag {
    const char *start, *after; /* its braces included */
    const char *body, *body_end;
    char mark; /* one of # ^ / ! & { > = or 0 for a plain value */
};

/* One section being rendered: its current value and, over an array, the elements still to come. */
struct frame {
    const json_t *value;
    const json_t *array;
    size_t index;
};

struct renderer {
    const struct parser *parser;
    enum template_escape escape;
    struct frame frames[TEMPLATE_MAX_DEPTH + 1];
    size_t depth; /* frames in use; the first is the data itself */
    size_t steps;
    char *out;
    size_t length, capacity, max_bytes;
    struct template_error *error;
};

static void template_error_place(struct template_error *error, const char *text, const char *at)
{
    error->line = 1;
    error->column = 1;
    for (; text < at; text++) {
        if (*text == '\n') {
            error->line++;
            error->column = 1;
        } else if (((unsigned char)*text & 0xC0) != 0x80) {
            error->column++;
        }
    }
}

static bool template_fail(struct template_error *error, const struct parser *parser, const char *at,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

static bool template_fail(struct template_error *error, const struct parser *parser, const char *at,
                          const char *format, ...)
{
    va_list args;
    int used;
    template_error_place(error, parser->text, at);
    used = snprintf(error->text, sizeof error->text, "line %u, column %u: ", error->line,
                    error->column);
    va_start(args, format);
    vsnprintf(error->text + used, sizeof error->text - (size_t)used, format, args);
    va_end(args);
    return false;
}

static bool template_fail_memory(struct template_error *error)
{
    *error = (struct template_error){0};
    snprintf(error->text, sizeof error->text, "out of memory");
    return false;
}

/* ---- parsing ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || (unsigned char)c >= 0x80;
}

static const char *text_find(const char *from, const char *end, const char *what)
{
    size_t length = strlen(what);
    for (; (size_t)(end - from) >= length; from++) {
        from = memchr(from, what[0], (size_t)(end - from) - length + 1);
        if (!from)
            return NULL;
        if (memcmp(from, what, length) == 0)
            return from;
    }
    return NULL;
}

static bool parser_add(struct parser *parser, enum token_type type, const char *start,
                       size_t length)
{
    if (parser->count == parser->capacity) {
        size_t capacity = parser->capacity ? parser->capacity * 2 : 32;
        struct token *tokens = realloc(parser->tokens, capacity * sizeof *tokens);
        if (!tokens)
            return template_fail_memory(parser->error);
        parser->tokens = tokens;
        parser->capacity = capacity;
    }
    parser->tokens[parser->count++] =
        (struct token){.type = type, .start = start, .length = length};
    return true;
}

static bool parser_add_text(struct parser *parser, const char *from, const char *to)
{
    return from >= to || parser_add(parser, TOKEN_TEXT, from, (size_t)(to - from));
}

/* Finds the borders of the tag that opens at start. */
static bool tag_read(struct tag *tag, const struct parser *parser, const char *start)
{
    const char *close;
    tag->start = start;
    tag->body = start + 2;
    tag->mark = '\0';
    if (tag->body < parser->end && memchr("#^/!&{>=", *tag->body, 8))
        tag->mark = *tag->body++;
    close = tag->mark == '{' ? "}}}" : "}}";
    tag->body_end = text_find(tag->body, parser->end, close);
    if (!tag->body_end)
        return template_fail(parser->error, parser, start, "this tag has no '%s'", close);
    tag->after = tag->body_end + strlen(close);
    while (tag->body < tag->body_end && is_space(*tag->body))
        tag->body++;
    while (tag->body < tag->body_end && is_space(tag->body_end[-1]))
        tag->body_end--;
    return true;
}

/* "." or parts of name bytes with single dots between them. */
static bool tag_check_name(const struct tag *tag, const struct parser *parser)
{
    size_t length = (size_t)(tag->body_end - tag->body);
    bool part = false;
    if (length == 0)
        return template_fail(parser->error, parser, tag->start, "this tag has no name");
    if (length > TEMPLATE_NAME_BYTES)
        return template_fail(parser->error, parser, tag->start, "the name is longer than %d bytes",
                             TEMPLATE_NAME_BYTES);
    if (length == 1 && *tag->body == '.')
        return true;
    for (const char *at = tag->body; at < tag->body_end; at++) {
        if (*at != '.' ? !is_name_byte(*at) : !part || at + 1 == tag->body_end)
            return template_fail(parser->error, parser, tag->start,
                                 "a name is made of letters, digits, '_' and '-', with single "
                                 "dots between its parts");
        part = *at != '.';
    }
    return true;
}

/* When the tag is alone on its line, widens its borders to the whole line. */
static void tag_take_line(struct tag *tag, const struct parser *parser)
{
    const char *from = tag->start, *to = tag->after;
    while (from > parser->text && (from[-1] == ' ' || from[-1] == '\t'))
        from--;
    while (to < parser->end && (*to == ' ' || *to == '\t'))
        to++;
    if (from > parser->text && from[-1] != '\n')
        return;
    if (to < parser->end && *to == '\r' && to + 1 < parser->end)
        to++;
    if (to < parser->end && *to != '\n')
        return;
    tag->start = from;
    tag->after = to < parser->end ? to + 1 : to;
}

static bool parser_open(struct parser *parser, const struct tag *tag)
{
    enum token_type type = tag->mark == '#' ? TOKEN_SECTION : TOKEN_INVERTED;
    if (parser->depth == TEMPLATE_MAX_DEPTH)
        return template_fail(parser->error, parser, tag->start,
                             "more than %d sections inside each other", TEMPLATE_MAX_DEPTH);
    parser->open[parser->depth++] = parser->count;
    return parser_add(parser, type, tag->body, (size_t)(tag->body_end - tag->body));
}

static bool parser_close(struct parser *parser, const struct tag *tag)
{
    size_t length = (size_t)(tag->body_end - tag->body), opened;
    const struct token *section;
    if (parser->depth == 0)
        return template_fail(parser->error, parser, tag->start, "'%.*s' is closed but not open",
                             (int)length, tag->body);
    opened = parser->open[--parser->depth];
    section = &parser->tokens[opened];
    if (section->length != length || memcmp(section->start, tag->body, length) != 0)
        return template_fail(parser->error, parser, tag->start,
                             "'%.*s' is closed where '%.*s' is open", (int)length, tag->body,
                             (int)section->length, section->start);
    if (!parser_add(parser, TOKEN_END, tag->body, length))
        return false;
    parser->tokens[opened].partner = parser->count - 1;
    parser->tokens[parser->count - 1].partner = opened;
    return true;
}

static bool parser_add_tag(struct parser *parser, const struct tag *tag)
{
    size_t length = (size_t)(tag->body_end - tag->body);
    switch (tag->mark) {
    case '!':
        return true;
    case '#':
    case '^':
        return parser_open(parser, tag);
    case '/':
        return parser_close(parser, tag);
    case '&':
    case '{':
        return parser_add(parser, TOKEN_RAW, tag->body, length);
    default:
        return parser_add(parser, TOKEN_VALUE, tag->body, length);
    }
}

static bool parser_check_tag(const struct parser *parser, const struct tag *tag)
{
    if (tag->mark == '>')
        return template_fail(parser->error, parser, tag->start, "there are no partials ('{{>')");
    if (tag->mark == '=')
        return template_fail(parser->error, parser, tag->start,
                             "the delimiters cannot be changed ('{{=')");
    return tag->mark == '!' || tag_check_name(tag, parser);
}

static bool parser_run(struct parser *parser)
{
    const char *at = parser->text, *nul = memchr(at, '\0', (size_t)(parser->end - at)), *open;
    if (nul)
        return template_fail(parser->error, parser, nul, "a NUL character");
    while ((open = text_find(at, parser->end, "{{"))) {
        struct tag tag;
        if (!tag_read(&tag, parser, open) || !parser_check_tag(parser, &tag))
            return false;
        const struct tag written = tag;
        if (tag.mark && memchr("#^/!", tag.mark, 4))
            tag_take_line(&tag, parser);
        if (!parser_add_text(parser, at, tag.start) || !parser_add_tag(parser, &written))
            return false;
        at = tag.after;
    }
    if (parser->depth) {
        const struct token *section = &parser->tokens[parser->open[parser->depth - 1]];
        return template_fail(parser->error, parser, section->start, "'%.*s' is never closed",
                             (int)section->length, section->start);
    }
    return parser_add_text(parser, at, parser->end);
}

/* ---- looking values up ---- */

static const json_t *object_get(const json_t *object, const char *name, size_t length)
{
    return json_is_object(object) ? json_object_getn(object, name, length) : NULL;
}

static const json_t *renderer_get(const struct renderer *renderer, const struct token *token)
{
    const char *at = token->start, *end = at + token->length, *dot;
    const json_t *value = NULL;
    size_t depth = renderer->depth;
    if (token->length == 1 && *at == '.')
        return renderer->frames[depth - 1].value;
    dot = memchr(at, '.', token->length);
    while (!value && depth > 0)
        value = object_get(renderer->frames[--depth].value, at, (size_t)((dot ? dot : end) - at));
    while (value && dot) {
        at = dot + 1;
        dot = memchr(at, '.', (size_t)(end - at));
        value = object_get(value, at, (size_t)((dot ? dot : end) - at));
    }
    return value;
}

static bool value_is_true(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
    case JSON_TRUE:
        return true;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) < 0 || json_real_value(value) > 0;
    default:
        return false;
    }
}

/* ---- writing ---- */

static bool renderer_write(struct renderer *renderer, const char *at, const char *data,
                           size_t length)
{
    if (length > renderer->max_bytes - renderer->length)
        return template_fail(renderer->error, renderer->parser, at,
                             "the text grows past %zu bytes here", renderer->max_bytes);
    if (renderer->length + length + 1 > renderer->capacity) {
        size_t capacity = renderer->capacity ? renderer->capacity : 256;
        while (capacity < renderer->length + length + 1)
            capacity *= 2;
        char *out = realloc(renderer->out, capacity);
        if (!out)
            return template_fail_memory(renderer->error);
        renderer->out = out;
        renderer->capacity = capacity;
    }
    if (length)
        memcpy(renderer->out + renderer->length, data, length);
    renderer->length += length;
    renderer->out[renderer->length] = '\0';
    return true;
}

static const char *html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    default:
        return "&#39;";
    }
}

static bool renderer_write_html(struct renderer *renderer, const char *at, const char *text)
{
    for (;;) {
        size_t plain = strcspn(text, "&<>\"'");
        if (!renderer_write(renderer, at, text, plain))
            return false;
        text += plain;
        if (!*text)
            return true;
        const char *entity = html_entity(*text++);
        if (!renderer_write(renderer, at, entity, strlen(entity)))
            return false;
    }
}

/* The fewest digits that read back as the same number, without an exponent where a person would
 * write none. */
static void real_format(char *out, size_t size, double real)
{
    char digits[40];
    int precision = 0, exponent;
    do
        snprintf(digits, sizeof digits, "%.*e", precision, real);
    while (strtod(digits, NULL) != real && ++precision < 17);
    exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -6 || exponent > 20)
        snprintf(out, size, "%.*g", precision + 1, real);
    else
        snprintf(out, size, "%.*f", precision > exponent ? precision - exponent : 0, real);
}

static bool renderer_write_string(struct renderer *renderer, const struct token *token,
                                  const json_t *value)
{
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (memchr(text, '\0', length))
        return template_fail(renderer->error, renderer->parser, token->start,
                             "'%.*s' holds a NUL character", (int)token->length, token->start);
    if (token->type == TOKEN_RAW || renderer->escape == TEMPLATE_PLAIN)
        return renderer_write(renderer, token->start, text, length);
    return renderer_write_html(renderer, token->start, text);
}

static bool renderer_write_value(struct renderer *renderer, const struct token *token)
{
    const json_t *value = renderer_get(renderer, token);
    char number[64];
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        return renderer_write_string(renderer, token, value);
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return renderer_write(renderer, token->start, number, strlen(number));
    case JSON_REAL:
        real_format(number, sizeof number, json_real_value(value));
        return renderer_write(renderer, token->start, number, strlen(number));
    case JSON_TRUE:
        return renderer_write(renderer, token->start, "true", 4);
    case JSON_FALSE:
        return renderer_write(renderer, token->start, "false", 5);
    case JSON_NULL:
        return template_fail(renderer->error, renderer->parser, token->start, "%s '%.*s'",
                             value ? "null as the value of" : "no value for", (int)token->length,
                             token->start);
    default:
        return template_fail(renderer->error, renderer->parser, token->start,
                             "'%.*s' is %s and no text", (int)token->length, token->start,
                             json_is_array(value) ? "an array" : "an object");
    }
}

/* ---- sections ---- */

static size_t renderer_enter(struct renderer *renderer, size_t at)
{
    const struct token *token = &renderer->parser->tokens[at];
    const json_t *value = renderer_get(renderer, token);
    bool over_array = json_is_array(value);
    if (!value_is_true(value))
        return token->partner + 1;
    renderer->frames[renderer->depth++] = (struct frame){
        .value = over_array ? json_array_get(value, 0) : value, .array = over_array ? value : NULL};
    return at + 1;
}

static size_t renderer_leave(struct renderer *renderer, size_t at)
{
    size_t opened = renderer->parser->tokens[at].partner;
    struct frame *frame = &renderer->frames[renderer->depth - 1];
    if (renderer->parser->tokens[opened].type == TOKEN_INVERTED)
        return at + 1;
    if (frame->array && ++frame->index < json_array_size(frame->array)) {
        frame->value = json_array_get(frame->array, frame->index);
        return opened + 1;
    }
    renderer->depth--;
    return at + 1;
}

static bool renderer_step(struct renderer *renderer, size_t *at)
{
    const struct token *token = &renderer->parser->tokens[*at];
    if (++renderer->steps > TEMPLATE_MAX_STEPS)
        return template_fail(renderer->error, renderer->parser, token->start,
                             "more than %d steps of work", TEMPLATE_MAX_STEPS);
    switch (token->type) {
    case TOKEN_TEXT:
        ++*at;
        return renderer_write(renderer, token->start, token->start, token->length);
    case TOKEN_VALUE:
    case TOKEN_RAW:
        ++*at;
        return renderer_write_value(renderer, token);
    case TOKEN_SECTION:
        *at = renderer_enter(renderer, *at);
        return true;
    case TOKEN_INVERTED:
        *at = value_is_true(renderer_get(renderer, token)) ? token->partner + 1 : *at + 1;
        return true;
    case TOKEN_END:
        *at = renderer_leave(renderer, *at);
        return true;
    }
    return false;
}

static bool renderer_run(struct renderer *renderer)
{
    size_t at = 0;
    if (!renderer_write(renderer, renderer->parser->text, "", 0))
        return false;
    while (at < renderer->parser->count)
        if (!renderer_step(renderer, &at))
            return false;
    return true;
}

bool template_render(const char *text, size_t length, const json_t *data,
                     enum template_escape escape, size_t max_bytes, char **out,
                     struct template_error *error)
{
    struct parser parser = {.text = text, .end = text + length, .error = error};
    struct renderer renderer = {
        .parser = &parser, .escape = escape, .depth = 1, .max_bytes = max_bytes, .error = error};
    bool ok;
    *error = (struct template_error){0};
    renderer.frames[0].value = data;
    ok = parser_run(&parser) && renderer_run(&renderer);
    free(parser.tokens);
    if (!ok)
        free(renderer.out);
    *out = ok ? renderer.out : NULL;
    return ok;
}

bool template_check(const char *text, size_t length, struct template_error *error)
{
    struct parser parser = {.text = text, .end = text + length, .error = error};
    *error = (struct template_error){0};
    bool ok = parser_run(&parser);
    free(parser.tokens);
    return ok;
}
