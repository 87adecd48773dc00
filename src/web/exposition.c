#include "web/exposition.h"

#include <stdio.h>

void exposition_family(struct exposition *exposition, const char *name, const char *type,
                       const char *help)
{
    exposition->family = name;
    buf_printf(exposition->buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void exposition_add_value(struct buf *buf, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            buf_add_text(buf, "\\n");
        else if (*text == '"' || *text == '\\')
            buf_printf(buf, "\\%c", *text);
        else
            buf_add_char(buf, *text);
    }
}

/* le: of a bucket; NULL: it is none. */
static void exposition_add(struct exposition *exposition, const char *suffix,
                           const struct exposition_labels *labels, const char *le, double value)
{
    struct buf *buf = exposition->buf;
    char before = '{';
    buf_add_text(buf, exposition->family);
    buf_add_text(buf, suffix);
    for (size_t i = 0; labels && i < EXPOSITION_LABELS && labels->label[i].name; i++) {
        buf_printf(buf, "%c%s=\"", before, labels->label[i].name);
        exposition_add_value(buf, labels->label[i].value);
        buf_add_char(buf, '"');
        before = ',';
    }
    if (le) {
        buf_printf(buf, "%cle=\"%s\"", before, le);
        before = ',';
    }
    buf_printf(buf, before == ',' ? "} %.15g\n" : " %.15g\n", value);
}

void exposition_sample(struct exposition *exposition, const struct exposition_labels *labels,
                       double value)
{
    exposition_add(exposition, "", labels, NULL, value);
}

void exposition_histogram(struct exposition *exposition, const struct exposition_labels *labels,
                          const double *bounds_s, const uint64_t *within, size_t buckets,
                          uint64_t timed, double sum_s)
{
    uint64_t sofar = 0;
    for (size_t i = 0; i < buckets; i++) {
        char le[32];
        snprintf(le, sizeof le, "%.15g", bounds_s[i]);
        sofar += within[i];
        exposition_add(exposition, "_bucket", labels, le, (double)sofar);
    }
    exposition_add(exposition, "_bucket", labels, "+Inf", (double)timed);
    exposition_add(exposition, "_sum", labels, NULL, sum_s);
    exposition_add(exposition, "_count", labels, NULL, (double)timed);
}
