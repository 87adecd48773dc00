#include "kind/directory.h"

#include "base/log.h"
#include "base/mem.h"
#include "module/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char sidecar_suffix[] = ".conf";

void kind_directory_init(struct kind_directory *directory, const char *path,
                         struct registry *registry)
{
    char absolute[4096];
    *directory = (struct kind_directory){.registry = registry};
    directory->path = mem_strdup(realpath(path, absolute) ? absolute : path);
}

static void slot_free(struct kind_slot *slot)
{
    free(slot->path);
    free(slot->reason);
    free(slot);
}

/* ---- Names ---- */

static bool name_ends(const char *name, const char *suffix)
{
    size_t length = strlen(name), bytes = strlen(suffix);
    return length >= bytes && strcmp(name + length - bytes, suffix) == 0;
}

/* Plug-ins are the loader's; the rest is what editors and package managers leave. */
static bool name_is_left_out(const char *name)
{
    static const char *const suffixes[] = {"~",         ".so",       ".swp",       ".swo",
                                           ".tmp",      ".bak",      ".orig",      ".rej",
                                           ".dpkg-new", ".dpkg-old", ".dpkg-dist", ".dpkg-tmp",
                                           ".rpmnew",   ".rpmsave",  ".rpmorig",   sidecar_suffix};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (name_ends(name, suffixes[i]))
            return true;
    return name[0] == '.' || name[0] == '#';
}

/* The slot of a name, in its place; made when it is new. */
static struct kind_slot *directory_slot(struct kind_directory *directory, const char *name)
{
    struct kind_slot **at = &directory->slots;
    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    if (*at && strcmp((*at)->name, name) == 0)
        return *at;
    struct kind_slot *slot = mem_zalloc(sizeof *slot);
    size_t length = strlen(directory->path) + 1 + strlen(name) + 1;
    slot->path = mem_alloc(length);
    snprintf(slot->path, length, "%s/%s", directory->path, name);
    slot->name = slot->path + strlen(directory->path) + 1;
    slot->next = *at;
    *at = slot;
    return slot;
}

static struct kind_slot *directory_find(const struct kind_directory *directory, const char *name)
{
    struct kind_slot *slot = directory->slots;
    while (slot && strcmp(slot->name, name) != 0)
        slot = slot->next;
    return slot;
}

bool kind_directory_mark(struct kind_directory *directory, const char *name, bool writing)
{
    char base[256];
    size_t length = strlen(name);
    if (name_ends(name, sidecar_suffix)) /* counts for the file that it stands beside */
        length -= strlen(sidecar_suffix);
    snprintf(base, sizeof base, "%.*s", (int)length, name);
    if (name_is_left_out(base))
        return false;
    directory_slot(directory, base)->writing = writing;
    return true;
}

void kind_directory_unmark_all(struct kind_directory *directory)
{
    for (struct kind_slot *slot = directory->slots; slot; slot = slot->next)
        slot->writing = false;
}

/* ---- Files ---- */

static void text_set(char **text, const char *value)
{
    free(*text);
    *text = value ? mem_strdup(value) : NULL;
}

static void slot_refuse(struct kind_slot *slot, const struct err *err, bool quiet)
{
    bool told = slot->reason && strcmp(slot->reason, err->text) == 0;
    text_set(&slot->reason, err->text);
    if (quiet || told)
        return;
    log_event(LOG_ERROR, "kind refused", "file", slot->path, "reason", err->text, "goes_on",
              slot->file ? "the version before" : NULL, NULL);
}

static void file_release(void *owner)
{
    kind_file_free(owner);
}

/* The version that is served is no more: by another one, or without. */
static bool slot_serve(struct kind_directory *directory, struct kind_slot *slot,
                       struct kind_file *file, struct err *err)
{
    struct kind_file *before = slot->file;
    const struct kind *held =
        before ? kind_hold(registry_find(directory->registry, before->errand.name)) : NULL;
    const struct registry_offer offer = {.module = file ? &file->module : NULL,
                                         .errand = file ? &file->errand : NULL,
                                         .concurrency = file ? file->concurrency : 0,
                                         .release = file_release,
                                         .owner = file};
    bool ok = !file || registry_put(directory->registry, &offer, err);
    if (ok && !file && before)
        registry_remove(directory->registry, before->errand.name);
    if (ok && before && before->type->retire)
        before->type->retire(before);
    if (held)
        kind_release(held);
    if (ok)
        slot->file = file;
    return ok;
}

static bool slot_remove(struct kind_directory *directory, struct kind_slot *slot, bool quiet)
{
    struct err err = {0};
    if (!slot->file)
        return false;
    if (!quiet)
        log_event(LOG_INFO, "kind removed", "kind", slot->file->errand.name, "file",
                  slot->file->path, NULL);
    return slot_serve(directory, slot, NULL, &err);
}

/* Another file, or a plug-in, may serve the kind. */
static bool slot_may_serve(const struct kind_directory *directory, const struct kind_slot *slot,
                           const struct kind_file *file, struct err *err)
{
    const struct kind *taken = registry_find(directory->registry, file->errand.name);
    if (!taken || (slot->file && taken->errand == &slot->file->errand))
        return true;
    return err_set(err, ERR_CONFIG, "kind %s is taken by %s %s", file->errand.name,
                   taken->life->release ? "file" : "plug-in", taken->module->name);
}

/* True: the registry has changed. */
static bool slot_take(struct kind_directory *directory, struct kind_slot *slot, bool quiet)
{
    struct err err = {0};
    bool untrusted;
    struct kind_file *file = kind_file_new(slot->path, slot->name, &untrusted, &err);
    const char *event = slot->file ? "kind changed" : "kind loaded";
    if (file && slot_may_serve(directory, slot, file, &err) &&
        slot_serve(directory, slot, file, &err)) {
        text_set(&slot->reason, NULL);
        if (!quiet)
            log_event(LOG_INFO, event, "kind", file->errand.name, "file", file->path, NULL);
        return true;
    }
    if (file)
        kind_file_free(file);
    bool changed = untrusted && slot_remove(directory, slot, true);
    slot_refuse(slot, &err, quiet);
    return changed;
}

/* ---- The directory ---- */

static bool stamp_is(const struct kind_stamp *a, const struct kind_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->sidecar_inode == b->sidecar_inode &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->sidecar_changed.tv_sec == b->sidecar_changed.tv_sec &&
           a->sidecar_changed.tv_nsec == b->sidecar_changed.tv_nsec;
}

/* A script that cannot be executed is most often one whose mode was forgotten; other files may lie
 * beside the kinds for them. */
static bool file_is_script(int directory_fd, const char *name)
{
    char head[2] = "";
    int fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool is_script = fd >= 0 && read(fd, head, 2) == 2 && head[0] == '#' && head[1] == '!';
    if (fd >= 0)
        close(fd);
    return is_script;
}

/* The file that a sidecar was meant for, which has a suffix more; "": it is no such sidecar. */
static void sidecar_misses(int directory_fd, const char *name, char file[300])
{
    int length = (int)(strlen(name) - strlen(sidecar_suffix));
    snprintf(file, 300, "%.*s", length, name);
    bool belongs = faccessat(directory_fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    for (size_t i = 0; i < KIND_TYPES && !belongs; i++) {
        snprintf(file, 300, "%.*s%s", length, name, kind_types[i]->suffix);
        if (*kind_types[i]->suffix && faccessat(directory_fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return;
    }
    *file = '\0';
}

/* One that nobody reads is named: report.nightly.conf beside report.nightly.sql. */
static void directory_look_at_sidecar(struct kind_directory *directory, int fd, const char *name,
                                      bool quiet)
{
    char file[300];
    struct err err = {0};
    struct kind_slot *slot = directory_find(directory, name);
    sidecar_misses(fd, name, file);
    if (*file) {
        err_set(&err, ERR_CONFIG, "nobody reads it: the settings of %s stand in %s%s", file, file,
                sidecar_suffix);
        slot_refuse(slot ? slot : directory_slot(directory, name), &err, quiet);
    } else if (slot) {
        text_set(&slot->reason, NULL);
    }
}

/* Of a file that is there; true: the registry has changed. */
static bool directory_look_at(struct kind_directory *directory, int fd, const char *name,
                              bool quiet)
{
    struct stat found, beside = {0};
    char sidecar[300];
    struct err err = {0};
    if (name_is_left_out(name) || fstatat(fd, name, &found, AT_SYMLINK_NOFOLLOW) != 0 ||
        S_ISDIR(found.st_mode))
        return false;
    const struct kind_type *type = kind_type_of(name, found.st_mode);
    struct kind_slot *slot = directory_find(directory, name);
    if (!type && !(slot && slot->file) && !file_is_script(fd, name))
        return false;
    slot = directory_slot(directory, name);
    slot->present = true;
    if (slot->writing)
        return false;
    snprintf(sidecar, sizeof sidecar, "%s%s", name, sidecar_suffix);
    if (fstatat(fd, sidecar, &beside, AT_SYMLINK_NOFOLLOW) != 0)
        beside = (struct stat){0};
    const struct kind_stamp stamp = {found.st_dev, found.st_ino, beside.st_ino, found.st_ctim,
                                     beside.st_ctim};
    if (stamp_is(&stamp, &slot->stamp) && !slot->reason)
        return false;
    slot->stamp = stamp;
    if (type)
        return slot_take(directory, slot, quiet);
    err_set(&err, ERR_CONFIG, "the file may not be executed: chmod +x");
    bool changed = slot_remove(directory, slot, quiet);
    slot_refuse(slot, &err, quiet);
    return changed;
}

static bool directory_open(const struct kind_directory *directory, struct dirent ***entries,
                           int *count, int *fd, struct err *err)
{
    *fd = -1;
    if (!trust_directory(directory->path, err))
        return false;
    *fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *count = *fd < 0 ? -1 : scandir(directory->path, entries, NULL, alphasort);
    return *count >= 0 ||
           err_set(err, ERR_CONFIG, "the directory cannot be read: %s", strerror(errno));
}

/* What is there no more goes first, so that another file may take its kind. */
static bool directory_drop_absent(struct kind_directory *directory, struct dirent **entries,
                                  int count, bool quiet)
{
    bool changed = false;
    for (struct kind_slot **at = &directory->slots; *at;) {
        struct kind_slot *slot = *at;
        slot->present = false;
        for (int i = 0; i < count && !slot->present; i++)
            slot->present = strcmp(entries[i]->d_name, slot->name) == 0;
        if (slot->present) {
            at = &slot->next;
            continue;
        }
        changed |= slot_remove(directory, slot, quiet);
        *at = slot->next;
        slot_free(slot);
    }
    return changed;
}

bool kind_directory_scan(struct kind_directory *directory, bool quiet)
{
    struct err err = {0};
    struct dirent **entries = NULL;
    int count = 0, fd;
    bool changed = false;
    if (directory_open(directory, &entries, &count, &fd, &err)) {
        text_set(&directory->reason, NULL);
        changed = directory_drop_absent(directory, entries, count, quiet);
        for (int i = 0; i < count; i++)
            changed |= directory_look_at(directory, fd, entries[i]->d_name, quiet);
        for (int i = 0; i < count; i++)
            if (name_ends(entries[i]->d_name, sidecar_suffix))
                directory_look_at_sidecar(directory, fd, entries[i]->d_name, quiet);
    } else { /* what is served goes on */
        text_set(&directory->reason, err.text);
        if (!quiet)
            log_event(LOG_ERROR, "directory of jobs refused", "directory", directory->path,
                      "reason", err.text, NULL);
    }
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (fd >= 0)
        close(fd);
    return changed;
}

void kind_directory_clear(struct kind_directory *directory)
{
    while (directory->slots) {
        struct kind_slot *next = directory->slots->next;
        slot_remove(directory, directory->slots, true);
        slot_free(directory->slots);
        directory->slots = next;
    }
    free(directory->reason);
    free(directory->path);
}
