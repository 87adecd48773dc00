#include "cli/request_file.h"

#include "cli/slurp.h"

#include <string.h>
#include <strings.h>

/* ---- Taking apart ---- */

/* The line at *at without its end, which becomes a NUL; *at is then behind it. NULL: no line ends
 * there, or it holds a NUL. */
static char *line_next(char **at, const char *end)
{
    char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop || memchr(line, '\0', (size_t)(stop - line)))
        return NULL;
    *at = stop + 1;
    if (stop > line && stop[-1] == '\r')
        stop--;
    *stop = '\0';
    return line;
}

/* "POST /webhooks/resend HTTP/1.1": a header has its colon before any blank. */
static bool line_is_request(const char *line)
{
    return line[strcspn(line, ": ")] == ' ' && strstr(line, " HTTP/");
}

static bool header_add(struct request_file *request, char *line, struct err *err)
{
    char *colon = strchr(line, ':');
    if (!colon || colon == line || strcspn(line, " \t") < (size_t)(colon - line))
        return err_set(err, ERR_PERMANENT, "'%.80s' is no header", line);
    if (request->count == REQUEST_FILE_HEADERS_MAX)
        return err_set(err, ERR_PERMANENT, "there are more than %d headers",
                       REQUEST_FILE_HEADERS_MAX);
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t length = strlen(value); length && strchr(" \t", value[length - 1]); length--)
        value[length - 1] = '\0';
    if (request_file_header(request, line))
        return err_set(err, ERR_PERMANENT, "the header %.80s stands there twice", line);
    request->names[request->count] = line;
    request->values[request->count++] = value;
    return true;
}

static bool request_parse(struct request_file *request, struct err *err)
{
    char *at = request->text.data, *end = at ? at + request->text.length : NULL, *line;
    for (size_t number = 1; at && (line = line_next(&at, end)); number++) {
        if (!*line && number > 1) {
            request->body = at;
            request->length = (size_t)(end - at);
            return true;
        }
        if (number == 1 && line_is_request(line)) {
            char *target = strchr(line, ' ') + 1;
            target[strcspn(target, " ?")] = '\0';
            request->target = target;
        } else if (!header_add(request, line, err)) {
            return err_prefix(err, "line %zu", number);
        }
    }
    return err_set(err, ERR_PERMANENT, "no blank line stands between headers and body");
}

bool request_file_read(struct request_file *request, const char *path, struct err *err)
{
    memset(request, 0, sizeof *request);
    buf_init(&request->text, REQUEST_FILE_MAX_BYTES);
    if (slurp_file(&request->text, path, err)) {
        if (request_parse(request, err))
            return true;
        err_prefix(err, "%.200s", path);
    }
    request_file_clear(request);
    return false;
}

void request_file_clear(struct request_file *request)
{
    buf_clear(&request->text);
}

const char *request_file_header(const struct request_file *request, const char *name)
{
    for (size_t i = 0; i < request->count; i++)
        if (strcasecmp(request->names[i], name) == 0)
            return request->values[i];
    return NULL;
}
