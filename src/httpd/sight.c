/* Cuts a head that was judged well into texts, where it lies. */
#include "httpd/server.h"

#include <string.h>

/* Ends the text at the first of that byte; what stands behind it. */
static char *cut(char *at, char byte)
{
    char *end = strchr(at, byte);
    *end = '\0';
    return end + 1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void sight_add_field(struct sight *sight, size_t count, char *line)
{
    char *value = cut(line, ':'), *end = value + strlen(value);
    while (is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    *end = '\0';
    sight->headers[count] = (struct httpd_header){.name = line, .value = value};
    if (count)
        sight->headers[count - 1].next = &sight->headers[count];
    else
        sight->request.headers = sight->headers;
}

bool sight_read(struct sight *sight, char *data, const struct head_verdict *verdict)
{
    char *body = data + verdict->head_bytes, *target;
    size_t count = 0;
    body[verdict->body_bytes] = '\0';
    sight->request =
        (struct httpd_request){.method = data, .body = body, .body_length = verdict->body_bytes};
    char *line = cut(data, '\r') + 1;
    target = cut(data, ' ');
    cut(target, ' ');
    target[strcspn(target, "?")] = '\0';
    sight->request.path = target;
    while (*line != '\r') {
        char *next = cut(line, '\r') + 1;
        sight_add_field(sight, count++, line);
        line = next;
    }
    return !strchr(target, '%');
}
