#include "httpd/head.h"

#include <string.h>
#include <strings.h>

struct head {
    const char *at, *end;
    size_t max_body;
    bool old; /* HTTP/1.0 */
    bool expects, closes;
    int fields, hosts, lengths, encodings;
    size_t body_bytes;
};

static struct head_verdict head_refuse(int status, const char *why)
{
    return (struct head_verdict){.complete = true, .status = status, .why = why};
}

static bool is_token_char(char c)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr(marks, c));
}

static size_t token_length(const char *text, size_t length)
{
    size_t n = 0;
    while (n < length && is_token_char(text[n]))
        n++;
    return n;
}

static struct head_verdict head_judge_request_line(struct head *head, const char *line,
                                                   size_t length)
{
    size_t method = token_length(line, length);
    if (!method || method > 32 || method == length || line[method] != ' ')
        return head_refuse(400, "the request line does not begin with a method");
    const char *target = line + method + 1, *end = line + length;
    const char *blank = memchr(target, ' ', (size_t)(end - target));
    if (!blank || (*target != '/' && !(*target == '*' && blank == target + 1)))
        return head_refuse(400, "the request line names no path");
    for (const char *at = target; at < blank; at++) {
        if (*at <= ' ' || *at > '~')
            return head_refuse(400, "the path has a character that it must not have");
        if (blank - at >= 3 && memcmp(at, "%00", 3) == 0)
            return head_refuse(400, "the path has a NUL");
    }
    const char *version = blank + 1;
    if (end - version != 8 || memcmp(version, "HTTP/", 5) != 0)
        return head_refuse(400, "the request line ends in no version");
    if (memcmp(version, "HTTP/1.1", 8) != 0 && memcmp(version, "HTTP/1.0", 8) != 0)
        return head_refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    head->old = version[7] == '0';
    return (struct head_verdict){0};
}

static struct head_verdict head_judge_length(struct head *head, const char *value, size_t length)
{
    unsigned long long bytes = 0;
    if (!length || length > 18)
        return head_refuse(400, "Content-Length is not a number");
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9')
            return head_refuse(400, "Content-Length is not a number");
        bytes = bytes * 10 + (unsigned)(value[i] - '0');
    }
    if (bytes > head->max_body)
        return head_refuse(413, "the body is too large");
    head->body_bytes = (size_t)bytes;
    return (struct head_verdict){0};
}

static bool name_is(const char *line, size_t length, const char *name)
{
    return strlen(name) == length && strncasecmp(line, name, length) == 0;
}

static struct head_verdict head_judge_field(struct head *head, const char *line, size_t length)
{
    size_t name = token_length(line, length);
    if (++head->fields > HEAD_MAX_FIELDS)
        return head_refuse(431, "too many header fields");
    if (!name || name == length || line[name] != ':')
        return head_refuse(400, "a header field is malformed");
    const char *value = line + name + 1, *end = line + length;
    for (const char *at = value; at < end; at++)
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
            return head_refuse(400, "a header field holds a control character");
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t bytes = (size_t)(end - value);
    if (name_is(line, name, "Host"))
        head->hosts++;
    if (name_is(line, name, "Content-Length")) {
        if (head->lengths++)
            return head_refuse(400, "Content-Length stands there twice");
        return head_judge_length(head, value, bytes);
    }
    if (name_is(line, name, "Transfer-Encoding")) {
        if (head->encodings++ || head->old || !name_is(value, bytes, "chunked"))
            return head_refuse(400, "the only Transfer-Encoding is chunked, once, in HTTP/1.1");
    }
    if (name_is(line, name, "Expect"))
        head->expects = true;
    if (name_is(line, name, "Connection") && !name_is(value, bytes, "keep-alive"))
        head->closes = true;
    return (struct head_verdict){0};
}

static struct head_verdict head_judge_whole(const struct head *head, const char *data)
{
    if (head->lengths && head->encodings)
        return head_refuse(400, "Content-Length and Transfer-Encoding exclude each other");
    if (head->hosts > 1 || (!head->hosts && !head->old))
        return head_refuse(400, "there must be one Host");
    return (struct head_verdict){.complete = true,
                                 .head_bytes = (size_t)(head->at - data),
                                 .body_bytes = head->body_bytes,
                                 .is_plain = !head->encodings && !head->expects,
                                 .is_chunked = head->encodings && !head->expects,
                                 .keeps = !head->old && !head->closes};
}

struct head_verdict head_judge(const char *data, size_t length, size_t max_body)
{
    struct head head = {.at = data, .end = data + length, .max_body = max_body};
    for (bool first = true;; first = false) {
        const char *lf = memchr(head.at, '\n', (size_t)(head.end - head.at));
        if (!lf || lf >= data + HEAD_MAX_BYTES) {
            if (length >= HEAD_MAX_BYTES)
                return head_refuse(431, "the head of the request is too large");
            return (struct head_verdict){0};
        }
        if (lf == head.at || lf[-1] != '\r')
            return head_refuse(400, "a line does not end in CR LF");
        const char *line = head.at;
        size_t bytes = (size_t)(lf - 1 - line);
        head.at = lf + 1;
        if (!first && !bytes)
            return head_judge_whole(&head, data);
        struct head_verdict verdict = first ? head_judge_request_line(&head, line, bytes)
                                            : head_judge_field(&head, line, bytes);
        if (verdict.complete)
            return verdict;
    }
}
