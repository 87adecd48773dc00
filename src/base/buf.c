#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max_bytes = max_bytes};
}

void buf_clear(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->max_bytes);
}

void buf_reset(struct buf *buf)
{
    buf->length = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

char *buf_steal(struct buf *buf)
{
    char *data = buf->data ? buf->data : mem_strdup("");
    buf_init(buf, buf->max_bytes);
    return data;
}

const char *buf_text(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

static bool buf_reserve(struct buf *buf, size_t more)
{
    if (buf->max_bytes && (more > buf->max_bytes || buf->length > buf->max_bytes - more))
        return false;
    size_t need = buf->length + more + 1;
    if (need > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : 256;
        while (capacity < need)
            capacity *= 2;
        buf->data = mem_resize(buf->data, capacity);
        buf->capacity = capacity;
    }
    return true;
}

bool buf_add(struct buf *buf, const void *data, size_t length)
{
    if (!buf_reserve(buf, length))
        return false;
    if (length)
        memcpy(buf->data + buf->length, data, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
    return true;
}

bool buf_add_text(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

bool buf_add_char(struct buf *buf, char c)
{
    return buf_add(buf, &c, 1);
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    bool ok = length >= 0 && buf_reserve(buf, (size_t)length);
    if (ok) {
        vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
        buf->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
    return ok;
}

void buf_array_open(struct buf *buf)
{
    buf_reset(buf);
    buf_add_char(buf, '{');
}

static void buf_array_separate(struct buf *buf)
{
    if (buf->length > 1)
        buf_add_char(buf, ',');
}

void buf_array_text(struct buf *buf, const char *text)
{
    buf_array_separate(buf);
    if (!text) {
        buf_add(buf, "NULL", 4);
        return;
    }
    buf_add_char(buf, '"');
    for (const char *at = text; *at;) {
        size_t plain = strcspn(at, "\"\\");
        buf_add(buf, at, plain);
        at += plain;
        if (*at) {
            buf_add_char(buf, '\\');
            buf_add_char(buf, *at++);
        }
    }
    buf_add_char(buf, '"');
}

void buf_array_int(struct buf *buf, long long value)
{
    char digits[24];
    char *at = digits + sizeof digits;
    unsigned long long rest =
        value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value;
    buf_array_separate(buf);
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    buf_add(buf, at, (size_t)(digits + sizeof digits - at));
}

void buf_array_close(struct buf *buf)
{
    buf_add_char(buf, '}');
}
