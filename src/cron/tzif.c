#include "cron/tzif.h"

#include "base/mem.h"
#include "cron/civil.h"
#include "cron/footer.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 44,
    COUNTS_AT = 20,
    CHANGES_MAX = 4096,
    TYPES_MAX = 256,
    NAMES_MAX = 4096,
    FOOTER_MAX = 128,
    TYPE_BYTES = 6,
    OFFSET_MIN_S = -89999, /* RFC 9636, 3.2: more than -25 hours, less than 26 */
    OFFSET_MAX_S = 93599,
    YEAR_FIRST = 1800 /* what came before counts as its beginning */
};

static const char *const TRUNCATED = "it ends too early";

struct header {
    char version;
    size_t is_ut, is_standard, leaps, changes, types, name_bytes;
};

struct reader {
    const unsigned char *at;
    size_t left;
};

/* ---- The table ---- */

void tzif_init_fixed(struct tzif *tzif, int32_t offset_s)
{
    tzif->capacity = 1;
    tzif->count = 1;
    tzif->changes = mem_alloc(sizeof *tzif->changes);
    tzif->changes[0] = (struct tzif_change){INT64_MIN, offset_s};
}

void tzif_clear(struct tzif *tzif)
{
    free(tzif->changes);
    memset(tzif, 0, sizeof *tzif);
}

/* Of two at the same moment the later one counts. */
static void tzif_add(struct tzif *tzif, int64_t at_s, int32_t offset_s)
{
    if (tzif->changes[tzif->count - 1].at_s == at_s && tzif->count > 1)
        tzif->count--;
    if (tzif->changes[tzif->count - 1].offset_s == offset_s)
        return;
    if (tzif->count == tzif->capacity) {
        tzif->capacity = tzif->capacity * 2 + 64;
        tzif->changes = mem_resize(tzif->changes, tzif->capacity * sizeof *tzif->changes);
    }
    tzif->changes[tzif->count++] = (struct tzif_change){at_s, offset_s};
}

/* ---- The file's own changes ---- */

static uint32_t read_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t read_time(const unsigned char *at, size_t time_bytes)
{
    if (time_bytes == 4)
        return (int32_t)read_u32(at);
    return (int64_t)((uint64_t)read_u32(at) << 32 | read_u32(at + 4));
}

static const char *read_header(struct reader *reader, struct header *header)
{
    if (reader->left < HEADER_BYTES)
        return TRUNCATED;
    if (memcmp(reader->at, "TZif", 4) != 0)
        return "it is no time zone file (TZif)";
    header->version = (char)reader->at[4];
    size_t *counts[] = {&header->is_ut,   &header->is_standard, &header->leaps,
                        &header->changes, &header->types,       &header->name_bytes};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        *counts[i] = read_u32(reader->at + COUNTS_AT + 4 * i);
    reader->at += HEADER_BYTES;
    reader->left -= HEADER_BYTES;
    if (header->changes > CHANGES_MAX || header->types > TYPES_MAX ||
        header->name_bytes > NAMES_MAX || header->leaps > CHANGES_MAX ||
        header->is_ut > header->types || header->is_standard > header->types)
        return "its counts are out of range";
    return NULL;
}

static size_t block_bytes(const struct header *header, size_t time_bytes)
{
    return header->changes * (time_bytes + 1) + header->types * TYPE_BYTES + header->name_bytes +
           header->leaps * (time_bytes + 4) + header->is_standard + header->is_ut;
}

static const char *read_offsets(const unsigned char *at, size_t count, int32_t *offsets)
{
    for (size_t i = 0; i < count; i++, at += TYPE_BYTES) {
        int64_t offset_s = (int32_t)read_u32(at);
        if (offset_s < OFFSET_MIN_S || offset_s > OFFSET_MAX_S)
            return "an offset is out of range";
        offsets[i] = (int32_t)offset_s;
    }
    return NULL;
}

static const char *read_changes(struct tzif *tzif, const unsigned char *block,
                                const struct header *header, size_t time_bytes)
{
    const unsigned char *indexes = block + header->changes * time_bytes;
    const int64_t first_s = civil_days(YEAR_FIRST, 1, 1) * CIVIL_DAY_S;
    int32_t offsets[TYPES_MAX];
    const char *wrong = read_offsets(indexes + header->changes, header->types, offsets);
    if (wrong)
        return wrong;
    tzif->changes[0].offset_s = offsets[0];
    int64_t before_s = INT64_MIN;
    for (size_t i = 0; i < header->changes; i++) {
        int64_t at_s = read_time(block + i * time_bytes, time_bytes);
        if (i > 0 && at_s <= before_s)
            return "its changes are not in order";
        if (indexes[i] >= header->types)
            return "a change names a type that is not there";
        before_s = at_s;
        if (at_s < first_s)
            tzif->changes[0].offset_s = offsets[indexes[i]];
        else
            tzif_add(tzif, at_s, offsets[indexes[i]]);
    }
    return NULL;
}

/* ---- The changes by rule ---- */

struct event {
    int64_t at_s;
    bool to_summer;
};

/* Where one summer ends as the next begins, it is summer all year. */
static int event_compare(const void *a, const void *b)
{
    const struct event *one = a, *other = b;
    if (one->at_s != other->at_s)
        return one->at_s < other->at_s ? -1 : 1;
    return (int)one->to_summer - (int)other->to_summer;
}

static int year_of(int64_t at_s)
{
    return civil_of_days(civil_day_of_seconds(at_s)).year;
}

static void add_rule(struct tzif *tzif, const struct footer *footer, int64_t after_s, int year_end)
{
    int year = year_of(after_s) - 1;
    if (year >= year_end)
        return;
    struct event *events = mem_alloc((size_t)(year_end - year) * 2 * sizeof *events);
    size_t count = 0;
    for (; year < year_end; year++) {
        events[count++] = (struct event){
            footer_change_local_s(&footer->to_summer, year) - footer->standard_s, true};
        events[count++] = (struct event){
            footer_change_local_s(&footer->to_standard, year) - footer->summer_s, false};
    }
    qsort(events, count, sizeof *events, event_compare);
    for (size_t i = 0; i < count; i++)
        if (events[i].at_s > after_s)
            tzif_add(tzif, events[i].at_s,
                     events[i].to_summer ? footer->summer_s : footer->standard_s);
    free(events);
}

static const char *read_footer(struct tzif *tzif, const struct reader *reader, int64_t last_s,
                               int year_end)
{
    const char *text = (const char *)reader->at;
    if (reader->left < 2 || text[0] != '\n')
        return "its last line is missing";
    const char *end = memchr(text + 1, '\n', reader->left - 1);
    if (!end || end - text > FOOTER_MAX)
        return "its last line has no end";
    size_t length = (size_t)(end - text) - 1;
    struct footer footer;
    if (length == 0)
        return NULL;
    if (!footer_parse(&footer, text + 1, length))
        return "the rule in its last line is damaged";
    if (footer.has_summer)
        add_rule(tzif, &footer, last_s, year_end);
    return NULL;
}

/* ---- The file ---- */

/* The moment from which on the footer speaks, within what dates are computed for. */
static int64_t last_change_s(const unsigned char *block, const struct header *header,
                             size_t time_bytes)
{
    const int64_t first_s = civil_days(YEAR_FIRST, 1, 1) * CIVIL_DAY_S;
    if (header->changes == 0)
        return first_s;
    int64_t at_s = read_time(block + (header->changes - 1) * time_bytes, time_bytes);
    return at_s < first_s ? first_s : at_s;
}

/* Changes of a damaged file may lie anywhere; later ones than this are never asked for, and sums
 * with offsets must not overflow. */
static void drop_after(struct tzif *tzif, int year_end)
{
    const int64_t end_s = civil_days(year_end, 1, 1) * CIVIL_DAY_S;
    while (tzif->count > 1 && tzif->changes[tzif->count - 1].at_s >= end_s)
        tzif->count--;
}

static const char *read_file(struct tzif *tzif, struct reader *reader, int year_end)
{
    struct header header;
    size_t time_bytes = 4;
    const char *wrong = read_header(reader, &header);
    if (wrong)
        return wrong;
    if (header.version >= '2') {
        size_t skipped = block_bytes(&header, time_bytes);
        if (reader->left < skipped)
            return TRUNCATED;
        reader->at += skipped;
        reader->left -= skipped;
        time_bytes = 8;
        wrong = read_header(reader, &header);
        if (wrong)
            return wrong;
    }
    if (header.types == 0)
        return "it has no types";
    if (header.leaps > 0)
        return "it counts leap seconds, which PostgreSQL's time does not";
    size_t bytes = block_bytes(&header, time_bytes);
    if (reader->left < bytes)
        return TRUNCATED;
    const unsigned char *block = reader->at;
    wrong = read_changes(tzif, block, &header, time_bytes);
    reader->at += bytes;
    reader->left -= bytes;
    const int64_t end_s = civil_days(year_end, 1, 1) * CIVIL_DAY_S;
    int64_t last_s = last_change_s(block, &header, time_bytes);
    if (!wrong && time_bytes == 8 && last_s < end_s)
        wrong = read_footer(tzif, reader, last_s, year_end);
    drop_after(tzif, year_end);
    return wrong;
}

const char *tzif_read(struct tzif *tzif, const void *bytes, size_t size, int year_end)
{
    struct reader reader = {bytes, size};
    tzif_init_fixed(tzif, 0);
    const char *wrong = read_file(tzif, &reader, year_end);
    if (wrong)
        tzif_clear(tzif);
    return wrong;
}
