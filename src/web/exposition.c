#include "web/exposition.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void exposition_family(struct exposition *exposition, const char *name, const char *type,
                       const char *help)
{
    exposition->family = name;
    buf_printf(exposition->buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void exposition_add_value(struct buf *buf, const char *text)
{
    while (*text) {
        size_t plain = strcspn(text, "\"\\\n");
        buf_add(buf, text, plain);
        text += plain;
        if (*text)
            buf_add_text(buf, *text == '\n' ? "\\n" : *text == '"' ? "\\\"" : "\\\\");
        text += *text != '\0';
    }
}

/* Without the brace at the end. */
static void exposition_add_labels(struct buf *buf, const struct exposition_labels *labels)
{
    char before = '{';
    for (size_t i = 0; labels && i < EXPOSITION_LABELS && labels->label[i].name; i++) {
        buf_add_char(buf, before);
        buf_add_text(buf, labels->label[i].name);
        buf_add_text(buf, "=\"");
        exposition_add_value(buf, labels->label[i].value);
        buf_add_char(buf, '"');
        before = ',';
    }
}

/* Most are whole, and printf takes its time for what is not. */
static void exposition_add_number(struct buf *buf, double value)
{
    char digits[24], *at = digits + sizeof digits;
    if (value < 0 || value >= 1e15 || value != (double)(uint64_t)value) {
        buf_printf(buf, " %.15g\n", value);
        return;
    }
    uint64_t rest = (uint64_t)value;
    *--at = '\n';
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    *--at = ' ';
    buf_add(buf, at, (size_t)(digits + sizeof digits - at));
}

/* open: labels, as exposition_add_labels writes them. le: of a bucket; NULL: it is none. */
static void exposition_add(struct exposition *exposition, const char *suffix,
                           const struct buf *open, const char *le, double value)
{
    struct buf *buf = exposition->buf;
    buf_add_text(buf, exposition->family);
    buf_add_text(buf, suffix);
    buf_add(buf, buf_text(open), open->length);
    if (le) {
        buf_add_text(buf, open->length ? ",le=\"" : "{le=\"");
        buf_add_text(buf, le);
        buf_add_char(buf, '"');
    }
    if (le || open->length)
        buf_add_char(buf, '}');
    exposition_add_number(buf, value);
}

void exposition_sample(struct exposition *exposition, const struct exposition_labels *labels,
                       double value)
{
    struct buf open;
    buf_init(&open, 0);
    exposition_add_labels(&open, labels);
    exposition_add(exposition, "", &open, NULL, value);
    buf_clear(&open);
}

void exposition_bounds_add(struct exposition_bounds *bounds, double bound)
{
    assert(bounds->count < EXPOSITION_BUCKETS);
    snprintf(bounds->le[bounds->count++], sizeof *bounds->le, "%.15g", bound);
}

void exposition_histogram(struct exposition *exposition, const struct exposition_labels *labels,
                          const struct exposition_bounds *bounds, const uint64_t *within,
                          uint64_t total, double sum)
{
    uint64_t sofar = 0;
    struct buf open;
    buf_init(&open, 0);
    exposition_add_labels(&open, labels);
    for (size_t i = 0; i < bounds->count; i++) {
        sofar += within[i];
        exposition_add(exposition, "_bucket", &open, bounds->le[i], (double)sofar);
    }
    exposition_add(exposition, "_bucket", &open, "+Inf", (double)total);
    exposition_add(exposition, "_sum", &open, NULL, sum);
    exposition_add(exposition, "_count", &open, NULL, (double)total);
    buf_clear(&open);
}
