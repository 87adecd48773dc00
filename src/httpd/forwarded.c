#include "httpd/forwarded.h"

#include <string.h>
#include <strings.h>

enum { ENTRIES_MAX = 32 };

static const char *const names[] = {
    [FORWARDED_X_FOR] = "X-Forwarded-For", [FORWARDED_RFC] = "Forwarded"};

bool forwarded_header_parse(const char *name, enum forwarded_header *header)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i], name) == 0) {
            *header = (enum forwarded_header)i;
            return true;
        }
    return false;
}

struct span {
    const char *at;
    size_t length;
};

/* The last ones; a list that is longer has been made by nobody's proxies. */
struct entries {
    struct span spans[ENTRIES_MAX];
    size_t count;
};

static struct span span_trim(struct span span)
{
    while (span.length && strchr(" \t\"", *span.at))
        span.at++, span.length--;
    while (span.length && strchr(" \t\"", span.at[span.length - 1]))
        span.length--;
    return span;
}

static void entries_add(struct entries *entries, struct span span)
{
    if (entries->count == ENTRIES_MAX) {
        memmove(entries->spans, entries->spans + 1, (ENTRIES_MAX - 1) * sizeof *entries->spans);
        entries->count--;
    }
    entries->spans[entries->count++] = span;
}

/* Up to the next separator that is not inside quotes. */
static size_t span_until(struct span span, char separator)
{
    bool quoted = false;
    size_t n = 0;
    for (; n < span.length && (quoted || span.at[n] != separator); n++)
        quoted ^= span.at[n] == '"';
    return n;
}

static void entries_add_list(struct entries *entries, struct span list)
{
    for (;;) {
        size_t length = span_until(list, ',');
        entries_add(entries, (struct span){list.at, length});
        if (length == list.length)
            return;
        list.at += length + 1;
        list.length -= length + 1;
    }
}

/* Of `for=192.0.2.1;proto=https` the address. Nothing: it names none. */
static struct span entry_for(struct span entry)
{
    while (entry.length) {
        size_t length = span_until(entry, ';');
        struct span pair = span_trim((struct span){entry.at, length});
        if (pair.length > 4 && strncasecmp(pair.at, "for=", 4) == 0)
            return (struct span){pair.at + 4, pair.length - 4};
        length += length < entry.length;
        entry.at += length;
        entry.length -= length;
    }
    return entry;
}

static void entries_read(struct entries *entries, const char *head, size_t length, const char *name)
{
    size_t bytes = strlen(name);
    const char *end = head + length, *line = head;
    for (const char *lf; (lf = memchr(line, '\n', (size_t)(end - line))) && lf > line + 1;
         line = lf + 1) {
        size_t rest = (size_t)(lf - line);
        if (rest > bytes && line[bytes] == ':' && strncasecmp(line, name, bytes) == 0)
            entries_add_list(entries, (struct span){line + bytes + 1, rest - bytes - 2});
    }
}

void forwarded_client(const char *head, size_t length, enum forwarded_header header,
                      const struct origin_list *trusted, struct origin *client)
{
    struct entries entries = {.count = 0};
    entries_read(&entries, head, length, names[header]);
    for (size_t i = entries.count; i-- > 0;) {
        struct origin address;
        struct span entry = entries.spans[i];
        entry = span_trim(header == FORWARDED_RFC ? entry_for(entry) : entry);
        if (!origin_parse(&address, entry.at, entry.length))
            return;
        *client = address;
        if (!origin_list_has(trusted, &address))
            return;
    }
}
