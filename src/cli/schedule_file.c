#include "cli/schedule_file.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cron/cron.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { CRON_FIELDS_MAX = 6, OPTION_BYTES = 32 };

/* NULL: none. */
static const char *const option_names[SCHEDULE_FIELDS] = {
    [SCHEDULE_TIMEZONE] = "timezone",
    [SCHEDULE_QUEUE] = "queue",
    [SCHEDULE_MISSED] = "missed",
    [SCHEDULE_MISSED_MAX] = "missed-max",
    [SCHEDULE_OVERLAP] = "overlap",
    [SCHEDULE_JITTER] = "jitter",
    [SCHEDULE_ENABLED] = "enabled",
    [SCHEDULE_STARTS_AT] = "starts-at",
    [SCHEDULE_ENDS_AT] = "ends-at",
    [SCHEDULE_PRIORITY] = "priority",
    [SCHEDULE_MAX_ATTEMPTS] = "max-attempts",
    [SCHEDULE_TIMEOUT] = "timeout",
    [SCHEDULE_TAGS] = "tags",
};

static const char blanks[] = " \t";

/* ---- Entries ---- */

static void entry_clear(struct schedule_entry *entry)
{
    for (size_t i = 0; i < SCHEDULE_FIELDS; i++)
        free(entry->fields[i]);
    *entry = (struct schedule_entry){0};
}

void schedule_file_clear(struct schedule_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        entry_clear(&file->entries[i]);
    free(file->entries);
    *file = (struct schedule_file){0};
}

struct schedule_entry *schedule_file_add(struct schedule_file *file)
{
    if (file->count == file->capacity) {
        file->capacity = 2 * file->capacity + 16;
        file->entries = mem_resize(file->entries, file->capacity * sizeof *file->entries);
    }
    file->entries[file->count] = (struct schedule_entry){0};
    return &file->entries[file->count++];
}

static char *tags_array(const char *list)
{
    struct buf array;
    buf_init(&array, 0);
    buf_array_open(&array);
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        char *tag = mem_strndup(at, length);
        buf_array_text(&array, tag);
        free(tag);
        at += length + (at[length] == ',');
    }
    buf_array_close(&array);
    return buf_steal(&array);
}

/* TZ, missed_max and Missed-Max are well, too. */
static bool option_is(const char *name, const char *given)
{
    for (; *name && *given; name++, given++) {
        char c = *given == '_' ? '-' : *given;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c != *name)
            return false;
    }
    return *name == *given;
}

bool schedule_entry_set(struct schedule_entry *entry, const char *option, const char *value)
{
    if (option_is("tz", option))
        option = option_names[SCHEDULE_TIMEZONE];
    for (size_t i = 0; i < SCHEDULE_FIELDS; i++) {
        if (!option_names[i] || !option_is(option_names[i], option))
            continue;
        free(entry->fields[i]);
        entry->fields[i] = i == SCHEDULE_TAGS ? tags_array(value) : mem_strdup(value);
        return true;
    }
    return false;
}

bool schedule_entry_check(const struct schedule_entry *entry, struct err *err)
{
    struct cron cron;
    json_error_t json_err;
    const char *timezone = entry->fields[SCHEDULE_TIMEZONE], *args = entry->fields[SCHEDULE_ARGS];
    if (!cron_parse(&cron, entry->fields[SCHEDULE_CRON], err))
        return false;
    struct zone *zone = zone_new(NULL, timezone ? timezone : "UTC", err);
    if (!zone)
        return false;
    zone_free(zone);
    /* Numbers of any size: what they are, PostgreSQL reads. */
    json_t *json =
        args ? json_loads(args, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &json_err) : json_null();
    if (!json)
        return err_set(err, ERR_CONFIG, "args are no JSON: %s", json_err.text);
    json_decref(json);
    return true;
}

/* ---- Lines ---- */

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, blanks);
}

static const char *skip_word(const char *at)
{
    return skip_blanks(at + strcspn(at, blanks));
}

static char *word_take(const char *at)
{
    return mem_strndup(at, strcspn(at, blanks));
}

/* option=value at the start of a line; its length, or 0. */
static size_t option_length(const char *at)
{
    size_t name = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-");
    return name > 0 && name < OPTION_BYTES && at[name] == '=' ? strcspn(at, blanks) : 0;
}

static bool entry_take_option(struct schedule_entry *entry, const char *at, struct err *err)
{
    char *text = word_take(at);
    char *value = strchr(text, '=');
    *value++ = '\0';
    bool known = schedule_entry_set(entry, text, value);
    if (!known)
        err_set(err, ERR_CONFIG,
                "there is no option %s; there are timezone, queue, missed, missed-max, overlap, "
                "jitter, enabled, starts-at, ends-at, priority, max-attempts, timeout, tags",
                text);
    free(text);
    return known;
}

/* The first count words as an expression; NULL when they are none. */
static char *words_cron(const char *at, size_t count, struct err *err)
{
    struct cron cron;
    const char *end = at;
    for (size_t i = 0; i < count && *end; i++)
        end = skip_word(end);
    size_t length = (size_t)(end - at);
    while (length > 0 && strchr(blanks, at[length - 1]))
        length--;
    char *text = mem_strndup(at, length);
    if (cron_parse(&cron, text, err))
        return text;
    free(text);
    return NULL;
}

/* How many words the expression has. Six that are one, with a kind behind them, come before five:
 * "0 0 9 * * 1 report.run". */
static size_t words_of_cron(const char *at)
{
    struct err err = {0};
    if (*at == '@')
        return strncmp(at, "@every", 6) == 0 && strchr(blanks, at[6]) ? 2 : 1;
    const char *behind = at;
    for (int i = 0; i < CRON_FIELDS_MAX && *behind; i++)
        behind = skip_word(behind);
    char *six = *behind && *behind != '{' && *behind != '[' && !option_length(behind)
                    ? words_cron(at, CRON_FIELDS_MAX, &err)
                    : NULL;
    free(six);
    return six ? CRON_FIELDS_MAX : CRON_FIELDS_MAX - 1;
}

static bool entry_parse(struct schedule_entry *entry, const char *at, struct err *err)
{
    entry->fields[SCHEDULE_NAME] = word_take(at);
    at = skip_word(at);
    size_t words = words_of_cron(at);
    entry->fields[SCHEDULE_CRON] = words_cron(at, words, err);
    if (!entry->fields[SCHEDULE_CRON])
        return false;
    for (size_t i = 0; i < words; i++)
        at = skip_word(at);
    if (!*at || *at == '{' || *at == '[' || option_length(at))
        return err_set(err, ERR_CONFIG, "the kind is missing behind the expression");
    entry->fields[SCHEDULE_KIND] = word_take(at);
    for (at = skip_word(at); option_length(at); at = skip_word(at))
        if (!entry_take_option(entry, at, err))
            return false;
    if (*at && *at != '{' && *at != '[')
        return err_set(err, ERR_CONFIG, "behind the kind come option=value and then JSON: '%.40s'",
                       at);
    if (*at)
        entry->fields[SCHEDULE_ARGS] = mem_strdup(at);
    return schedule_entry_check(entry, err);
}

static void entry_inherit(struct schedule_entry *entry, const struct schedule_entry *above)
{
    for (size_t i = 0; i < SCHEDULE_FIELDS; i++)
        if (above->fields[i])
            entry->fields[i] = mem_strdup(above->fields[i]);
}

static bool file_has(const struct schedule_file *file, const char *name)
{
    for (size_t i = 0; i + 1 < file->count; i++)
        if (strcmp(file->entries[i].fields[SCHEDULE_NAME], name) == 0)
            return true;
    return false;
}

static bool file_take_line(struct schedule_file *file, struct schedule_entry *above,
                           const char *line, struct err *err)
{
    const char *at = skip_blanks(line);
    if (!*at || *at == '#')
        return true;
    size_t option = option_length(at);
    if (option && !*skip_blanks(at + option))
        return entry_take_option(above, at, err);
    struct schedule_entry *entry = schedule_file_add(file);
    entry_inherit(entry, above);
    if (!entry_parse(entry, at, err))
        return false;
    if (file_has(file, entry->fields[SCHEDULE_NAME]))
        return err_set(err, ERR_CONFIG, "%s stands above already", entry->fields[SCHEDULE_NAME]);
    return true;
}

bool schedule_file_parse(struct schedule_file *file, const char *text, struct err *err)
{
    struct schedule_entry above = {0};
    bool ok = true;
    *file = (struct schedule_file){0};
    for (int number = 1; ok && *text; number++) {
        size_t length = strcspn(text, "\n");
        size_t used = length && text[length - 1] == '\r' ? length - 1 : length;
        char *line = mem_strndup(text, used);
        ok = file_take_line(file, &above, line, err);
        if (!ok)
            err_prefix(err, "line %d", number);
        free(line);
        text += length + (text[length] == '\n');
    }
    entry_clear(&above);
    return ok;
}
