#include "kind/file.h"

#include "base/mem.h"
#include "config/setting_value.h"
#include "kind/header.h"
#include "module/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_TEXT_MAX = 1 << 20, FILE_HEAD_MAX = 1 << 14 };

/* What some editors put before a text. */
static const char byte_order_mark[] = "\xef\xbb\xbf";

struct kind_value {
    const struct errand_setting *setting;
    const char *text;
    struct kind_value *next;
};

/* Of every kind that is a file. */
static const struct errand_setting file_settings[] = {
    {"queue", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "where enqueue puts it"},
    {"timeout_ms", ERRAND_SETTING_INTEGER, NULL, NULL, 1, 86400000, "of one attempt"},
    {"max_attempts", ERRAND_SETTING_INTEGER, NULL, NULL, 1, 1000, "before it is a dead letter"},
    {"concurrency", ERRAND_SETTING_INTEGER, NULL, NULL, 1, 100000, "at once in a runner"},
    {"claim", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "lazy or first"},
    {"lanes", ERRAND_SETTING_INTEGER, NULL, NULL, 1, 64, "of its queue when that is made"},
};

/* ---- Settings ---- */

static const struct errand_setting *table_find(const struct errand_setting *table, size_t count,
                                               const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, key) == 0)
            return &table[i];
    return NULL;
}

static const struct errand_setting *file_setting(const struct kind_file *file, const char *key)
{
    const struct errand_setting *found =
        table_find(file_settings, sizeof file_settings / sizeof *file_settings, key);
    return found ? found : table_find(file->type->settings, file->type->setting_count, key);
}

const char *kind_file_text(const struct kind_file *file, const char *key)
{
    for (const struct kind_value *value = file->values; value; value = value->next)
        if (strcmp(value->setting->name, key) == 0)
            return value->text;
    return file_setting(file, key)->initial;
}

size_t kind_file_texts(const struct kind_file *file, const char *key, const char **texts,
                       size_t most)
{
    size_t count = 0, at;
    for (const struct kind_value *value = file->values; value; value = value->next)
        count += strcmp(value->setting->name, key) == 0;
    at = count;
    for (const struct kind_value *value = file->values; value; value = value->next)
        if (strcmp(value->setting->name, key) == 0 && --at < most)
            texts[at] = value->text;
    return count;
}

long long kind_file_integer(const struct kind_file *file, const char *key)
{
    long long value = 0;
    const char *text = kind_file_text(file, key);
    if (text)
        setting_value_integer(text, &value);
    return value;
}

static const char *file_setting_names(struct kind_file *file)
{
    const char *names = "";
    for (size_t i = 0; i < sizeof file_settings / sizeof *file_settings; i++)
        names =
            arena_printf(&file->arena, "%s%s%s", names, *names ? ", " : "", file_settings[i].name);
    for (size_t i = 0; i < file->type->setting_count; i++)
        names = arena_printf(&file->arena, "%s, %s", names, file->type->settings[i].name);
    return names;
}

static bool file_on_pair(void *context, const char *where, const char *section, const char *key,
                         const char *text, struct err *err)
{
    struct kind_file *file = context;
    const struct errand_setting *setting = file_setting(file, key);
    if (strcmp(section, "kind") != 0)
        return err_set(err, ERR_CONFIG, "%s: the section is [kind], not [%.40s]", where, section);
    if (!setting)
        return err_set(err, ERR_CONFIG, "%s: '%.40s' is no setting; there are: %s", where, key,
                       file_setting_names(file));
    if (!setting_value_check(setting, section, where, text, err))
        return false;
    if (strcmp(key, "claim") == 0 && strcmp(text, "lazy") != 0 && strcmp(text, "first") != 0)
        return err_set(err, ERR_CONFIG, "%s: claim is '%.40s'; allowed: lazy or first", where,
                       text);
    if (strcmp(key, "queue") == 0 && !registry_name_is_valid(text))
        return err_set(err, ERR_CONFIG,
                       "%s: queue '%.80s' is not 1 to 63 of a-z 0-9 _ . -, the first a letter or "
                       "digit",
                       where, text);
    struct kind_value *value = arena_alloc(&file->arena, sizeof *value);
    *value = (struct kind_value){setting, arena_strdup(&file->arena, text), file->values};
    file->values = value;
    return true;
}

/* The sidecar comes last: what it says counts. */
static bool file_read_settings(struct kind_file *file, bool *untrusted, struct err *err)
{
    const char *sidecar = arena_printf(&file->arena, "%s.conf", file->path);
    bool ok = file->type->is_settings
                  ? settings_file_read(file->path, file_on_pair, file, err)
                  : header_read(file->name, file->text, file->text_bytes, file_on_pair, file, err);
    if (!ok || (access(sidecar, F_OK) != 0 && errno == ENOENT))
        return ok;
    if (!trust_file(sidecar, err)) {
        *untrusted = true;
        return err_prefix(err, "%s.conf", file->name);
    }
    return settings_file_read(sidecar, file_on_pair, file, err);
}

static void file_take_settings(struct kind_file *file)
{
    struct errand_kind *kind = &file->errand;
    const char *claim = kind_file_text(file, "claim");
    kind->queue = kind_file_text(file, "queue");
    kind->timeout_ms = (int)kind_file_integer(file, "timeout_ms");
    kind->max_attempts = (int)kind_file_integer(file, "max_attempts");
    kind->queue_lanes = (int)kind_file_integer(file, "lanes");
    kind->claim = !claim                        ? file->type->claim
                  : strcmp(claim, "first") == 0 ? ERRAND_CLAIM_FIRST
                                                : ERRAND_CLAIM_LAZY;
    file->concurrency = (int)kind_file_integer(file, "concurrency");
}

/* ---- The file ---- */

static bool file_read_from(struct kind_file *file, int fd, struct err *err)
{
    size_t most = file->type->reads_text ? FILE_TEXT_MAX : FILE_HEAD_MAX, length = 0;
    char *text = arena_alloc(&file->arena, most + 2);
    for (ssize_t got = 1; got != 0 && length < most + 1; length += (size_t)got) {
        got = read(fd, text + length, most + 1 - length);
        if (got < 0)
            return err_set(err, ERR_CONFIG, "the file cannot be read: %s", strerror(errno));
    }
    if (length == 0)
        return err_set(err, ERR_CONFIG, "the file is empty");
    if (file->type->reads_text && length > most)
        return err_set(err, ERR_CONFIG, "the file is larger than %zu bytes", most);
    length = length > most ? most : length;
    text[length] = '\0';
    if (file->type->reads_text && strlen(text) != length)
        return err_set(err, ERR_CONFIG, "the file holds a NUL byte");
    size_t mark =
        strncmp(text, byte_order_mark, strlen(byte_order_mark)) == 0 ? strlen(byte_order_mark) : 0;
    file->text = text + mark;
    file->text_bytes = length - mark;
    return true;
}

static bool file_read(struct kind_file *file, bool *untrusted, struct err *err)
{
    struct stat found;
    int fd = open(file->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_CONFIG,
                       errno == ELOOP ? "it is a symbolic link, not a regular file"
                                      : "the file cannot be opened: %s",
                       strerror(errno));
    bool ok = fstat(fd, &found) == 0 && trust_found(&found, err);
    *untrusted = !ok;
    ok = ok && file_read_from(file, fd, err);
    close(fd);
    return ok;
}

/* A kind's name is the file's without the suffix of its type. */
static bool file_name_kind(struct kind_file *file, struct err *err)
{
    size_t length = strlen(file->name) - strlen(file->type->suffix);
    const char *kind = arena_strndup(&file->arena, file->name, length);
    if (!registry_name_is_valid(kind) || !strchr(kind, '.'))
        return err_set(
            err, ERR_CONFIG,
            "'%.80s' is no name for a kind: 3 to 63 of a-z 0-9 _ . -, the first a letter "
            "or digit, with a dot between what it is about and what it does",
            kind);
    file->errand.name = kind;
    return true;
}

static bool file_open(struct kind_file *file, bool *untrusted, struct err *err)
{
    if (!file_name_kind(file, err) || !file_read(file, untrusted, err) ||
        !file_read_settings(file, untrusted, err))
        return false;
    file_take_settings(file);
    return !file->type->open || file->type->open(file, err);
}

struct kind_file *kind_file_new(const char *path, const char *name, bool *untrusted,
                                struct err *err)
{
    struct stat found;
    struct kind_file *file = mem_zalloc(sizeof *file);
    arena_init(&file->arena);
    file->path = arena_strdup(&file->arena, path);
    file->name = arena_strdup(&file->arena, name);
    *untrusted = false;
    file->type = kind_type_of(name, lstat(file->path, &found) == 0 ? found.st_mode : 0);
    if (file->type) {
        file->errand = (struct errand_kind){.size = sizeof file->errand,
                                            .cancel_grace_ms = file->type->cancel_grace_ms,
                                            .run = file->type->run};
        file->module = (struct errand_module){.abi = ERRAND_ABI,
                                              .size = sizeof file->module,
                                              .name = file->name,
                                              .version = "",
                                              .kinds = &file->errand,
                                              .kind_count = 1};
    } else {
        err_set(err, ERR_CONFIG, "the file is there no more");
    }
    if (file->type && file_open(file, untrusted, err))
        return file;
    arena_clear(&file->arena);
    free(file);
    return NULL;
}

void kind_file_free(struct kind_file *file)
{
    if (file->type->close)
        file->type->close(file);
    arena_clear(&file->arena);
    free(file);
}
