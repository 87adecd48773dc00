#include "cli/slurp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KIB = 1024 };

static bool slurp_stream(struct buf *text, FILE *stream, const char *name, struct err *err)
{
    char piece[16384];
    size_t length;
    while ((length = fread(piece, 1, sizeof piece, stream)) > 0)
        if (!buf_add(text, piece, length)) {
            bool large = text->max_bytes >= KIB * KIB;
            return err_set(err, ERR_PERMANENT, "%.200s holds more than %zu %s", name,
                           text->max_bytes / (large ? KIB * KIB : KIB), large ? "MiB" : "KiB");
        }
    if (ferror(stream))
        return err_set(err, ERR_PERMANENT, "cannot read %.200s: %s", name, strerror(errno));
    return true;
}

bool slurp_file(struct buf *text, const char *path, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return slurp_stream(text, stdin, "standard input", err);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return err_set(err, ERR_PERMANENT, "cannot open %.200s: %s", path, strerror(errno));
    bool ok = slurp_stream(text, stream, path, err);
    fclose(stream);
    return ok;
}

bool slurp_argument(struct buf *text, const char *argument, struct err *err)
{
    bool is_file = *argument == '@', is_input = strcmp(argument, "-") == 0;
    if (!is_file && !is_input)
        return buf_add_text(text, argument) ||
               err_set(err, ERR_PERMANENT, "'%.80s...' is too long", argument);
    if (!slurp_file(text, argument + is_file, err))
        return false;
    if (text->length == 0 || memchr(text->data, '\0', text->length))
        return err_set(err, ERR_PERMANENT, "%.200s is empty or no text",
                       is_input ? "standard input" : argument + 1);
    return true;
}
