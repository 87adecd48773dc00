#include "cron/zone.h"

#include "base/mem.h"
#include "cron/quote.h"
#include "cron/tzif.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

enum { FILE_MAX_BYTES = 65536, PATH_MAX_BYTES = 4096 };

struct change {
    int64_t at_s, reached_s;
    int32_t offset_s;
};

struct zone {
    char name[ZONE_NAME_MAX_BYTES + 1];
    size_t count;
    struct change changes[];
};

/* ---- Making one ---- */

static struct zone *zone_of_tzif(const char *name, const struct tzif *tzif)
{
    struct zone *zone = mem_zalloc(sizeof *zone + tzif->count * sizeof *zone->changes);
    snprintf(zone->name, sizeof zone->name, "%s", name);
    zone->count = tzif->count;
    int64_t reached_s = INT64_MIN;
    for (size_t i = 0; i < tzif->count; i++) {
        const struct tzif_change *from = &tzif->changes[i];
        if (i > 0 && from->at_s + tzif->changes[i - 1].offset_s > reached_s)
            reached_s = from->at_s + tzif->changes[i - 1].offset_s;
        zone->changes[i] = (struct change){from->at_s, reached_s, from->offset_s};
    }
    return zone;
}

struct zone *zone_new_bytes(const char *name, const void *bytes, size_t size, struct err *err)
{
    struct quote quote;
    struct tzif tzif;
    const char *wrong = tzif_read(&tzif, bytes, size, ZONE_YEAR_END);
    if (wrong) {
        err_set(err, ERR_CONFIG, "time zone %s: its file is damaged: %s",
                quote_text(&quote, name, strlen(name)), wrong);
        return NULL;
    }
    struct zone *zone = zone_of_tzif(name, &tzif);
    tzif_clear(&tzif);
    return zone;
}

static struct zone *zone_new_utc(const char *name)
{
    struct tzif tzif;
    tzif_init_fixed(&tzif, 0);
    struct zone *zone = zone_of_tzif(name, &tzif);
    tzif_clear(&tzif);
    return zone;
}

void zone_free(struct zone *zone)
{
    free(zone);
}

/* ---- Names ---- */

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-' || c == '/';
}

/* Parts of letters, digits, _, + and - with single slashes between them: no dots, so nothing that
 * leads out of the directory, and none of tzdata's own tables (zone.tab). */
static bool is_name(const char *name)
{
    size_t length = strnlen(name, ZONE_NAME_MAX_BYTES + 1);
    if (length == 0 || length > ZONE_NAME_MAX_BYTES || name[0] == '/' || name[length - 1] == '/')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_name_character(name[i]) || (name[i] == '/' && name[i + 1] == '/'))
            return false;
    return true;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static bool name_check(const char *name, struct err *err)
{
    static const char *const of_machine[] = {"localtime", "posixrules", NULL};
    struct quote quote;
    if (!is_name(name))
        return err_set(err, ERR_CONFIG,
                       "time zone %s is no name of a zone; names are like Europe/Berlin or UTC",
                       quote_text(&quote, name, strnlen(name, ZONE_NAME_MAX_BYTES + 1)));
    if (is_one_of(name, of_machine))
        return err_set(err, ERR_CONFIG,
                       "time zone '%s' is another one on each machine; name it, like Europe/Berlin",
                       name);
    return true;
}

/* ---- Files ---- */

static bool has_tzdata(const char *directory)
{
    static const char *const signs[] = {"UTC", "Etc/UTC", "tzdata.zi", "zone.tab"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        char path[PATH_MAX_BYTES];
        snprintf(path, sizeof path, "%s/%s", directory, signs[i]);
        FILE *file = fopen(path, "re");
        if (file) {
            fclose(file);
            return true;
        }
    }
    return false;
}

/* What is not there, is a folder (Europe) or has one in its way that is a file (UTC/Berlin). */
static bool is_missing(int error)
{
    return error == ENOENT || error == EISDIR || error == ENOTDIR;
}

static void read_failed(const char *directory, const char *name, int error, struct err *err)
{
    if (!is_missing(error))
        err_set(err, ERR_CONFIG, "time zone '%s': cannot read %s/%s: %s", name, directory, name,
                strerror(error));
    else if (!has_tzdata(directory))
        err_set(err, ERR_CONFIG,
                "time zone '%s': there is no time zone data in %s; install the package tzdata",
                name, directory);
    else
        err_set(err, ERR_CONFIG,
                "time zone '%s' is unknown; names are like Europe/Berlin, upper and lower case "
                "count, and old ones like US/Eastern may need the package tzdata-legacy",
                name);
}

/* The number of bytes; 0 and errno. */
static size_t read_file(const char *path, char *bytes, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    errno = 0;
    size_t length = fread(bytes, 1, size, file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    errno = error;
    return error ? 0 : length;
}

struct zone *zone_new(const char *directory, const char *name, struct err *err)
{
    static const char *const utc[] = {"UTC", "Etc/UTC", "GMT", "Etc/GMT", NULL};
    char path[PATH_MAX_BYTES];
    if (!name_check(name, err))
        return NULL;
    if (is_one_of(name, utc))
        return zone_new_utc(name);
    if (!directory)
        directory = ZONE_DIRECTORY;
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        err_set(err, ERR_CONFIG, "time zone '%s': the path of its directory is too long", name);
        return NULL;
    }
    char *bytes = mem_alloc(FILE_MAX_BYTES);
    struct zone *zone = NULL;
    size_t size = read_file(path, bytes, FILE_MAX_BYTES);
    if (size == 0 && errno != 0)
        read_failed(directory, name, errno, err);
    else
        zone = zone_new_bytes(name, bytes, size, err);
    free(bytes);
    return zone;
}

/* ---- Asking it ---- */

const char *zone_name(const struct zone *zone)
{
    return zone->name;
}

struct zone_span zone_span(const struct zone *zone, int64_t at_s)
{
    size_t low = 0, high = zone->count; /* changes[low] has come, changes[high] has not */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at_s <= at_s)
            low = middle;
        else
            high = middle;
    }
    const struct change *change = &zone->changes[low];
    return (struct zone_span){
        .from_s = change->at_s,
        .until_s = low + 1 < zone->count ? change[1].at_s : INT64_MAX,
        .offset_s = change->offset_s,
        .reached_s = change->reached_s,
    };
}

int32_t zone_offset_s(const struct zone *zone, int64_t at_s)
{
    return zone_span(zone, at_s).offset_s;
}

/* ---- Many of them ---- */

struct zone_set_entry {
    struct zone *zone;
    UT_hash_handle hh;
};

void zone_set_init(struct zone_set *set, const char *directory)
{
    set->entries = NULL;
    set->directory = directory;
}

void zone_set_clear(struct zone_set *set)
{
    struct zone_set_entry *entry, *next;
    HASH_ITER(hh, set->entries, entry, next)
    {
        HASH_DEL(set->entries, entry);
        zone_free(entry->zone);
        free(entry);
    }
}

const struct zone *zone_set_get(struct zone_set *set, const char *name, struct err *err)
{
    struct zone_set_entry *entry;
    HASH_FIND_STR(set->entries, name, entry);
    if (entry)
        return entry->zone;
    struct zone *zone = zone_new(set->directory, name, err);
    if (!zone)
        return NULL;
    entry = mem_zalloc(sizeof *entry);
    entry->zone = zone;
    HASH_ADD_KEYPTR(hh, set->entries, zone->name, strlen(zone->name), entry);
    return zone;
}
