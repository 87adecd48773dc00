#include "web/segment.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A record: MAGIC, the first bytes of the SHA-256 of what follows, the payload's length (four
 * bytes, the lowest first), the payload. */
static const char MAGIC[4] = {'E', 'R', 'W', '1'};

enum { SUM_AT = 4, LENGTH_AT = 12, HEADER_BYTES = 16, CONTENT_MAX = 256 << 20 };

static const char SUFFIX[] = ".events";

/* ---- The directory ---- */

/* So that a directory that was made is there after a crash, too. */
static bool parent_sync(int directory)
{
    int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = parent >= 0 && fsync(parent) == 0;
    if (parent >= 0)
        close(parent);
    return synced;
}

bool segment_open_directory(const char *path, int *directory, struct err *err)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_set(err, ERR_CONFIG, "cannot make the directory %.300s: %s", path,
                       strerror(errno));
    *directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*directory < 0)
        return err_set(err, ERR_CONFIG, "cannot open the directory %.300s: %s", path,
                       strerror(errno));
    if (faccessat(*directory, ".", W_OK | X_OK, AT_EACCESS) || (made && !parent_sync(*directory))) {
        close(*directory);
        return err_set(err, ERR_CONFIG, "cannot write to the directory %.300s: %s", path,
                       strerror(errno));
    }
    return true;
}

static bool name_is_segment(const char *name)
{
    size_t length = strlen(name), suffix = sizeof SUFFIX - 1;
    return length > suffix && length < SEGMENT_NAME_BYTES &&
           strcmp(name + length - suffix, SUFFIX) == 0;
}

/* Each name in turn, in no order. */
static void directory_each(int directory,
                           void (*each)(int directory, const char *name, void *context),
                           void *context)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = copy < 0 ? NULL : fdopendir(copy);
    if (!names) {
        if (copy >= 0)
            close(copy);
        return;
    }
    for (const struct dirent *at; (at = readdir(names));)
        if (name_is_segment(at->d_name))
            each(directory, at->d_name, context);
    closedir(names);
}

static void add_file(int directory, const char *name, void *context)
{
    struct stat status;
    struct segment_total *total = context;
    if (fstatat(directory, name, &status, 0) != 0)
        return;
    total->bytes += status.st_size;
    total->files++;
}

struct segment_total segment_total(int directory)
{
    struct segment_total total = {0};
    directory_each(directory, add_file, &total);
    return total;
}

/* ---- Writing ---- */

static bool file_is_there(int file)
{
    struct stat status;
    return fstat(file, &status) == 0 && status.st_nlink > 0;
}

bool segment_create(struct segment *segment, int directory, struct err *err)
{
    static unsigned number;
    *segment = (struct segment){.directory = directory, .file = -1};
    bool locked;
    do {
        segment_close(segment);
        snprintf(segment->name, sizeof segment->name, "%016" PRIx64 "-%d-%u%s",
                 (uint64_t)clock_wall_us(), (int)getpid(), number++, SUFFIX);
        segment->file = openat(directory, segment->name,
                               O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
        if (segment->file < 0)
            return err_set(err, ERR_TEMPORARY, "cannot make %s: %s", segment->name,
                           strerror(errno));
        /* A reader may have found it before the lock, and removed it as an empty one. */
        while (!(locked = flock(segment->file, LOCK_EX) == 0) && errno == EINTR)
            ;
    } while (locked && !file_is_there(segment->file));
    if (locked && fsync(directory) == 0)
        return true;
    err_set(err, ERR_TEMPORARY, "cannot make %s: %s", segment->name, strerror(errno));
    segment_close(segment);
    return false;
}

/* Of length and payload, which stand behind each other. */
static void record_sum(const char *record, size_t length, unsigned char sum[SHA256_DIGEST_LENGTH])
{
    SHA256((const unsigned char *)record + LENGTH_AT, HEADER_BYTES - LENGTH_AT + length, sum);
}

void segment_frame(struct buf *records, const struct buf *payload)
{
    char header[HEADER_BYTES] = {0};
    unsigned char sum[SHA256_DIGEST_LENGTH];
    size_t start = records->length;
    memcpy(header, MAGIC, sizeof MAGIC);
    for (int i = 0; i < HEADER_BYTES - LENGTH_AT; i++)
        header[LENGTH_AT + i] = (char)(payload->length >> (8 * i) & 0xff);
    buf_add(records, header, sizeof header);
    buf_add(records, buf_text(payload), payload->length);
    record_sum(records->data + start, payload->length, sum);
    memcpy(records->data + start + SUM_AT, sum, LENGTH_AT - SUM_AT);
}

static bool file_write(int file, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(file, data, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        length -= (size_t)written;
    }
    return true;
}

bool segment_append(struct segment *segment, const struct buf *records, struct err *err)
{
    if (file_write(segment->file, buf_text(records), records->length) &&
        fdatasync(segment->file) == 0) {
        segment->bytes += (int64_t)records->length;
        return true;
    }
    err_set(err, ERR_TEMPORARY, "cannot write to %s: %s", segment->name, strerror(errno));
    /* Should it be read all the same: an event that was refused may be stored, too. */
    if (ftruncate(segment->file, segment->bytes))
        err_prefix(err, "it may be there twice");
    return false;
}

void segment_close(struct segment *segment)
{
    if (segment->file >= 0)
        close(segment->file);
    segment->file = -1;
}

/* ---- Reading ---- */

struct search {
    struct segment *segment;
    char best[SEGMENT_NAME_BYTES]; /* "": none */
    const char *after;             /* names up to this one were looked at */
};

static void search_meet(int directory, const char *name, void *context)
{
    struct search *search = context;
    (void)directory;
    if (strcmp(name, search->after) > 0 && (!search->best[0] || strcmp(name, search->best) < 0))
        snprintf(search->best, sizeof search->best, "%s", name);
}

/* Locked, and still there: it may have been removed by whoever held it before. False with ERR_NONE:
 * it is somebody else's. */
static bool segment_lock(struct segment *segment, struct err *err)
{
    segment->file = openat(segment->directory, segment->name, O_RDWR | O_CLOEXEC);
    if (segment->file < 0)
        return errno != ENOENT &&
               err_set(err, ERR_TEMPORARY, "cannot open %s: %s", segment->name, strerror(errno));
    if (flock(segment->file, LOCK_EX | LOCK_NB) == 0) {
        if (file_is_there(segment->file))
            return true;
    } else if (errno != EWOULDBLOCK) {
        err_set(err, ERR_TEMPORARY, "cannot lock %s: %s", segment->name, strerror(errno));
    }
    segment_close(segment);
    return false;
}

static bool segment_read(const struct segment *segment, struct buf *content, struct err *err)
{
    char piece[65536];
    struct stat status;
    if (fstat(segment->file, &status) == 0 && status.st_size > CONTENT_MAX)
        return err_set(err, ERR_TEMPORARY, "cannot read %s: it is too large", segment->name);
    for (;;) {
        ssize_t length = read(segment->file, piece, sizeof piece);
        if (length == 0)
            return true;
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 || !buf_add(content, piece, (size_t)length))
            return err_set(err, ERR_TEMPORARY, "cannot read %s: %s", segment->name,
                           length < 0 ? strerror(errno) : "it is too large");
    }
}

static bool segment_take(struct segment *segment, struct buf *content, struct err *err)
{
    if (!segment_lock(segment, err))
        return false;
    buf_init(content, CONTENT_MAX);
    if (segment_read(segment, content, err)) {
        segment->bytes = (int64_t)content->length;
        return true;
    }
    segment_close(segment);
    buf_clear(content);
    return false;
}

bool segment_take_oldest(struct segment *segment, int directory, const char *after,
                         struct buf *content, struct err *err)
{
    char looked[SEGMENT_NAME_BYTES];
    err_clear(err);
    snprintf(looked, sizeof looked, "%s", after);
    for (;;) {
        struct search search = {.after = looked};
        directory_each(directory, search_meet, &search);
        if (!search.best[0])
            return false;
        *segment = (struct segment){.directory = directory, .file = -1};
        memcpy(segment->name, search.best, sizeof segment->name);
        if (segment_take(segment, content, err))
            return true;
        memcpy(looked, search.best, sizeof looked);
    }
}

/* The payload's length where a whole and undamaged record stands; SIZE_MAX: none does. */
static size_t record_length(const char *data, size_t left)
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    size_t length = 0;
    if (left < HEADER_BYTES || memcmp(data, MAGIC, sizeof MAGIC) != 0)
        return SIZE_MAX;
    for (int i = HEADER_BYTES - LENGTH_AT; i-- > 0;)
        length = length << 8 | (unsigned char)data[LENGTH_AT + i];
    if (length > SEGMENT_RECORD_MAX || length > left - HEADER_BYTES)
        return SIZE_MAX;
    record_sum(data, length, sum);
    return memcmp(sum, data + SUM_AT, LENGTH_AT - SUM_AT) == 0 ? length : SIZE_MAX;
}

const char *segment_next(const struct buf *content, size_t *at, size_t *length,
                         size_t *skipped_bytes)
{
    while (*at < content->length) {
        const char *data = content->data + *at;
        *length = record_length(data, content->length - *at);
        if (*length != SIZE_MAX) {
            *at += HEADER_BYTES + *length;
            return data + HEADER_BYTES;
        }
        const char *next = memchr(data + 1, MAGIC[0], content->length - *at - 1);
        size_t step = next ? (size_t)(next - data) : content->length - *at;
        *skipped_bytes += step;
        *at += step;
    }
    return NULL;
}

bool segment_set_aside(struct segment *segment, struct err *err)
{
    char name[SEGMENT_NAME_BYTES + sizeof ".damaged"];
    snprintf(name, sizeof name, "%s.damaged", segment->name);
    bool renamed = renameat(segment->directory, segment->name, segment->directory, name) == 0;
    if (!renamed)
        err_set(err, ERR_TEMPORARY, "cannot rename %s: %s", segment->name, strerror(errno));
    segment_close(segment);
    return renamed;
}

bool segment_remove(struct segment *segment, struct err *err)
{
    bool removed = unlinkat(segment->directory, segment->name, 0) == 0 || errno == ENOENT;
    if (!removed) {
        err_set(err, ERR_TEMPORARY, "cannot remove %s: %s", segment->name, strerror(errno));
        if (ftruncate(segment->file, 0))
            err_prefix(err, "it is sent again");
    }
    segment_close(segment);
    return removed;
}
