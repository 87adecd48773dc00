#include "kind/header.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HEADER_LINE_MAX = 1000 };

static const char header_blank[] = " \t\r", header_word[] = "errand";

/* The comment's text, trimmed, cut off in place; NULL: the line is no comment. */
static char *line_comment(char *line)
{
    line += strspn(line, header_blank);
    size_t mark = *line == '#' ? 1 : strncmp(line, "--", 2) && strncmp(line, "//", 2) ? 0 : 2;
    return mark ? line + mark + strspn(line + mark, header_blank) : NULL;
}

static char *text_trim(char *text)
{
    text += strspn(text, header_blank);
    size_t length = strlen(text);
    while (length > 0 && strchr(header_blank, text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

/* What the comment says behind "errand:"; NULL: it is no setting. In any case of letters, and where
 * the colon is forgotten before what looks like one: a setting that nobody reads is worse than a
 * file that is refused. */
static char *comment_setting(char *comment)
{
    static const char key[] = "abcdefghijklmnopqrstuvwxyz_";
    size_t length = strlen(header_word);
    if (!comment || strncasecmp(comment, header_word, length) != 0)
        return NULL;
    char *rest = comment + length + strspn(comment + length, header_blank);
    if (*rest == ':')
        return text_trim(rest + 1);
    size_t word = strspn(rest, key), blank = strspn(rest + word, header_blank);
    bool looks_like_one = rest > comment + length && word > 0 && rest[word + blank] == '=';
    return looks_like_one ? rest + strlen(rest) : NULL; /* which is no pair */
}

static bool header_pair(char *pair, const char *where, settings_file_pair *on_pair, void *context,
                        struct err *err)
{
    char *equals = strchr(pair, '=');
    if (!equals || equals == pair)
        return err_set(err, ERR_CONFIG, "%s: a setting is written errand: key = value", where);
    *equals = '\0';
    return on_pair(context, where, "kind", text_trim(pair), text_trim(equals + 1), err);
}

bool header_read(const char *name, const char *text, size_t bytes, settings_file_pair *on_pair,
                 void *context, struct err *err)
{
    char line[HEADER_LINE_MAX + 1], where[400];
    const char *at = text, *end = text + bytes;
    for (int number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);
        if (length > HEADER_LINE_MAX || memchr(at, '\0', length))
            return true; /* nobody's settings */
        memcpy(line, at, length);
        line[length] = '\0';
        at += length + (newline != NULL);
        char *comment = line_comment(line);
        if (!comment && line[strspn(line, header_blank)])
            return true;
        char *setting = comment_setting(comment);
        if (!setting)
            continue;
        snprintf(where, sizeof where, "%s:%d", name, number);
        if (!header_pair(setting, where, on_pair, context, err))
            return false;
    }
    return true;
}
