#include "config/conninfo.h"

#include "base/log.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool conninfo_is_url(const char *conninfo)
{
    return strncmp(conninfo, "postgres://", 11) == 0 || strncmp(conninfo, "postgresql://", 13) == 0;
}

/* scheme://user:PASSWORD@host: a password with a bare @ ends at the last one before the path. */
static bool conninfo_url_authority(const char *url, size_t from, struct conninfo_span *span)
{
    size_t start = (size_t)(strstr(url, "://") - url) + 3;
    if (from > start)
        return false;
    size_t end = start + strcspn(url + start, "/?#");
    size_t at = end;
    while (at > start && url[at] != '@')
        at--;
    const char *colon = memchr(url + start, ':', at - start);
    if (!colon)
        return false;
    span->start = (size_t)(colon - url) + 1;
    span->length = at - span->start;
    return span->length > 0;
}

static bool conninfo_key_is_secret(const char *key, size_t length)
{
    return (length == 8 && strncmp(key, "password", 8) == 0) ||
           (length == 11 && strncmp(key, "sslpassword", 11) == 0);
}

/* ...?password=PASSWORD&... */
static bool conninfo_url_parameter(const char *url, size_t from, struct conninfo_span *span)
{
    const char *at = strchr(url, '?');
    while (at) {
        at++;
        size_t key = strcspn(at, "=&");
        const char *value = at[key] == '=' ? at + key + 1 : at + key;
        size_t length = strcspn(value, "&");
        if (conninfo_key_is_secret(at, key) && length > 0 && (size_t)(value - url) >= from) {
            *span = (struct conninfo_span){(size_t)(value - url), length};
            return true;
        }
        at = strchr(value, '&');
    }
    return false;
}

static size_t conninfo_value_length(const char *value, char quote)
{
    size_t length = 0;
    while (value[length] &&
           (quote ? value[length] != quote : !isspace((unsigned char)value[length])))
        length += value[length] == '\\' && value[length + 1] ? 2 : 1;
    return length;
}

/* key = value, values quoted by ' where needed. */
static bool conninfo_pair(const char *conninfo, size_t from, struct conninfo_span *span)
{
    for (const char *at = conninfo; *at;) {
        at += strspn(at, " \t\r\n");
        size_t key = strcspn(at, "= \t\r\n");
        const char *value = at + key;
        value += strspn(value, " \t\r\n");
        if (*value != '=')
            return false;
        value++;
        value += strspn(value, " \t\r\n");
        bool quoted = *value == '\'';
        value += quoted;
        size_t length = conninfo_value_length(value, quoted ? '\'' : '\0');
        if (conninfo_key_is_secret(at, key) && length > 0 && (size_t)(value - conninfo) >= from) {
            *span = (struct conninfo_span){(size_t)(value - conninfo), length};
            return true;
        }
        at = value + length;
        at += quoted && *at == '\'';
    }
    return false;
}

bool conninfo_password(const char *conninfo, size_t *from, struct conninfo_span *span)
{
    bool found = conninfo_is_url(conninfo) ? conninfo_url_authority(conninfo, *from, span) ||
                                                 conninfo_url_parameter(conninfo, *from, span)
                                           : conninfo_pair(conninfo, *from, span);
    if (found)
        *from = span->start + span->length;
    return found;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place: %41 in a URL, \x in key=value. */
static void conninfo_unescape(char *text, bool url)
{
    char *out = text;
    for (const char *at = text; *at; at++) {
        if (url && *at == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
            *out++ = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
            at += 2;
        } else if (!url && *at == '\\' && at[1]) {
            *out++ = *++at;
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
}

void conninfo_register(const char *conninfo)
{
    struct conninfo_span span;
    for (size_t from = 0; conninfo_password(conninfo, &from, &span);) {
        char *password = mem_strndup(conninfo + span.start, span.length);
        log_secret(password);
        conninfo_unescape(password, conninfo_is_url(conninfo));
        log_secret(password);
        free(password);
    }
}

void conninfo_mask(struct buf *buf, const char *conninfo)
{
    struct conninfo_span span;
    size_t done = 0;
    for (size_t from = 0; conninfo_password(conninfo, &from, &span);) {
        buf_add(buf, conninfo + done, span.start - done);
        buf_add_text(buf, "***");
        done = span.start + span.length;
    }
    buf_add_text(buf, conninfo + done);
}
