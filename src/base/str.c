#include "base/str.h"

#include <string.h>

enum { STR_NEAREST_BYTES = 64 };

static bool str_is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static size_t str_sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first < 0xE0)
        return 2;
    if (first >= 0xE0 && first < 0xF0)
        return 3;
    return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

/* Overlong forms, surrogates and what lies past Unicode's end are not characters. */
static bool str_is_character(uint32_t character, size_t bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    return character >= least[bytes] && character <= 0x10FFFF &&
           (character < 0xD800 || character > 0xDFFF);
}

size_t str_character(const char *text, size_t length, uint32_t *character)
{
    unsigned char first = (unsigned char)*text;
    size_t bytes = str_sequence_length(first);
    *character = STR_REPLACEMENT;
    if (bytes == 0 || bytes > length)
        return 1;
    uint32_t value = bytes == 1 ? first : first & (0x7Fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if (!str_is_continuation(text[i]))
            return 1;
        value = value << 6 | ((unsigned char)text[i] & 0x3Fu);
    }
    if (!str_is_character(value, bytes))
        return 1;
    *character = value;
    return bytes;
}

static bool str_needs_number(uint32_t character)
{
    return character < 0x20 || (character >= 0x7F && character < 0xA0) || character == 0x2028 ||
           character == 0x2029;
}

static const char *str_short_escape(uint32_t character)
{
    switch (character) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

void str_escape(struct buf *buf, const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t character;
        size_t bytes = str_character(text + at, length - at, &character);
        const char *escape = str_short_escape(character);
        if (escape)
            buf_add_text(buf, escape);
        else if (str_needs_number(character))
            buf_printf(buf, "\\u%04x", (unsigned)character);
        else if (character == STR_REPLACEMENT)
            buf_add_text(buf, "\xEF\xBF\xBD");
        else
            buf_add(buf, text + at, bytes);
        at += bytes;
    }
}

void str_printable(struct buf *buf, const char *text)
{
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        uint32_t character;
        size_t bytes = str_character(text + at, length - at, &character);
        if (character == '\n' || character == '\t' || character == '\r')
            buf_add_char(buf, ' ');
        else if (character == STR_REPLACEMENT || str_needs_number(character))
            buf_add_text(buf, "\xEF\xBF\xBD");
        else
            buf_add(buf, text + at, bytes);
        at += bytes;
    }
}

size_t str_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += !str_is_continuation(*text);
    return width;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein, one row at a time: how many letters were added, lost, changed or swapped. */
static size_t str_distance(const char *a, const char *b)
{
    size_t rows[3][STR_NEAREST_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    size_t a_length = strlen(a), b_length = strlen(b);
    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = min_size(change, min_size(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min_size(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_length];
}

/* How far apart two words are, for comparing: first by what was mistyped; of equals, the one that
 * begins alike for longer, then the one of the nearer length. */
static size_t str_apartness(const char *a, const char *b, size_t distance)
{
    size_t alike = 0, a_length = strlen(a), b_length = strlen(b);
    while (a[alike] && a[alike] == b[alike])
        alike++;
    size_t longer = a_length > b_length ? a_length - b_length : b_length - a_length;
    return (distance * STR_NEAREST_BYTES + STR_NEAREST_BYTES - alike) * STR_NEAREST_BYTES + longer;
}

const char *str_nearest(const char *text, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t length = strlen(text), best = 0;
    size_t far = length < 4 ? 2 : length < 8 ? 3 : 4; /* farther than this is another word */
    if (length > STR_NEAREST_BYTES)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > STR_NEAREST_BYTES)
            continue;
        size_t distance = str_distance(text, names[i]);
        size_t apart = str_apartness(text, names[i], distance);
        if (distance < far && (!nearest || apart < best)) {
            best = apart;
            nearest = names[i];
        }
    }
    return nearest;
}
