#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_SECRET_LEAST = 6, LOG_VALUE_MAX = 8192, LOG_INT_TEXTS = 8 };

struct log_hidden {
    char *text;
    size_t length;
};

static struct {
    enum log_level least;
    enum log_format format;
    struct log_hidden *hidden;
    size_t hidden_count;
    bool hidden_first[256]; /* bytes that some secret begins with: all others are passed quickly */
} log_state = {.least = LOG_INFO};

static const char *const log_level_names[] = {"debug", "info", "warn", "error"};
static const char *const log_format_names[] = {"logfmt", "json"};

void log_configure(enum log_level least, enum log_format format)
{
    log_state.least = least;
    log_state.format = format;
}

bool log_enabled(enum log_level level)
{
    return level >= log_state.least;
}

/* ---- Secrets ---- */

static void log_hide(const char *text, size_t length)
{
    for (size_t i = 0; i < log_state.hidden_count; i++)
        if (strcmp(log_state.hidden[i].text, text) == 0)
            return;
    size_t bytes = (log_state.hidden_count + 1) * sizeof *log_state.hidden;
    log_state.hidden = mem_resize(log_state.hidden, bytes);
    log_state.hidden[log_state.hidden_count++] =
        (struct log_hidden){mem_strndup(text, length), length};
    log_state.hidden_first[(unsigned char)*text] = true;
}

static bool log_is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           strchr("-._~", c);
}

static void log_percent_encode(struct buf *buf, const char *text, const char *format)
{
    for (; *text; text++) {
        if (log_is_unreserved(*text))
            buf_add_char(buf, *text);
        else if (*format == 'u')
            buf_printf(buf, "%%%02X", (unsigned)(unsigned char)*text);
        else
            buf_printf(buf, "%%%02x", (unsigned)(unsigned char)*text);
    }
}

void log_secret(const char *text)
{
    if (!text || strlen(text) < LOG_SECRET_LEAST)
        return;
    struct buf form;
    buf_init(&form, 0);
    log_hide(text, strlen(text));
    str_escape(&form, text, strlen(text));
    log_hide(buf_text(&form), form.length);
    for (const char *kind = "ul"; *kind; kind++) {
        buf_reset(&form);
        log_percent_encode(&form, text, kind);
        log_hide(buf_text(&form), form.length);
    }
    buf_clear(&form);
}

/* The longest secret that begins at text; 0: none. */
static size_t log_hidden_at(const char *text)
{
    size_t longest = 0;
    if (!log_state.hidden_first[(unsigned char)*text])
        return 0;
    for (size_t i = 0; i < log_state.hidden_count; i++) {
        const struct log_hidden *hidden = &log_state.hidden[i];
        if (hidden->length > longest && strncmp(text, hidden->text, hidden->length) == 0)
            longest = hidden->length;
    }
    return longest;
}

/* Secrets may overlap: all that any of them covers goes. */
void log_redact(char *text)
{
    char *out = text;
    const char *covered = text;
    if (log_state.hidden_count == 0)
        return;
    for (const char *at = text; *at; at++) {
        size_t length = log_hidden_at(at);
        if (length && at >= covered)
            out = (char *)memcpy(out, "***", 3) + 3;
        if (length && at + length > covered)
            covered = at + length;
        if (at >= covered)
            *out++ = *at;
    }
    *out = '\0';
}

/* ---- Lines ---- */

static void log_add_time(struct buf *line)
{
    char text[32];
    int64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    buf_printf(line, "%s.%03dZ", text, (int)(now_us / 1000 % 1000));
}

static bool log_is_bare(const char *value)
{
    if (!*value)
        return false;
    for (; *value; value++)
        if (*value <= ' ' || *value > '~' || strchr("\"\\=", *value))
            return false;
    return true;
}

/* Redacted before it is cut or escaped, so that no part of a secret passes. */
static void log_add_value(struct buf *line, const char *value)
{
    char *shown = mem_strdup(value);
    log_redact(shown);
    size_t length = strlen(shown);
    size_t kept = length > LOG_VALUE_MAX ? LOG_VALUE_MAX : length;
    if (log_state.format == LOG_LOGFMT && kept == length && log_is_bare(shown)) {
        buf_add(line, shown, length);
    } else {
        buf_add_char(line, '"');
        str_escape(line, shown, kept);
        if (kept < length)
            buf_printf(line, "... (%zu bytes)", length);
        buf_add_char(line, '"');
    }
    free(shown);
}

static void log_add_pair(struct buf *line, const char *key, const char *value)
{
    if (log_state.format == LOG_JSON)
        buf_printf(line, "%s\"%s\":", line->length > 1 ? "," : "", key);
    else
        buf_printf(line, "%s%s=", line->length ? " " : "", key);
    log_add_value(line, value);
}

static void log_write(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* nowhere to complain */
        text += written;
        length -= (size_t)written;
    }
}

void log_event(enum log_level level, const char *event, ...)
{
    if (!log_enabled(level))
        return;
    struct buf line, now;
    buf_init(&line, 0);
    buf_init(&now, 0);
    log_add_time(&now);
    if (log_state.format == LOG_JSON)
        buf_add_char(&line, '{');
    log_add_pair(&line, "time", buf_text(&now));
    log_add_pair(&line, "level", log_level_names[level]);
    log_add_pair(&line, "event", event);
    va_list pairs;
    va_start(pairs, event);
    for (const char *key; (key = va_arg(pairs, const char *));) {
        const char *value = va_arg(pairs, const char *);
        if (value)
            log_add_pair(&line, key, value);
    }
    va_end(pairs);
    buf_add_text(&line, log_state.format == LOG_JSON ? "}\n" : "\n");
    log_write(line.data, line.length);
    buf_clear(&now);
    buf_clear(&line);
}

const char *log_int(long long value)
{
    static _Thread_local char texts[LOG_INT_TEXTS][24];
    static _Thread_local unsigned next;
    char *text = texts[next++ % LOG_INT_TEXTS];
    snprintf(text, sizeof texts[0], "%lld", value);
    return text;
}

/* ---- Names ---- */

bool log_level_parse(const char *text, enum log_level *level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(text, log_level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_format_parse(const char *text, enum log_format *format)
{
    for (int i = LOG_LOGFMT; i <= LOG_JSON; i++) {
        if (strcmp(text, log_format_names[i]) == 0) {
            *format = (enum log_format)i;
            return true;
        }
    }
    return false;
}
