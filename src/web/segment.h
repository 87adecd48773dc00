/* Segments: files in which records wait, each with its checksum. A segment is written by one
 * process, which holds a lock on it meanwhile, and is read whole by whoever locks it afterwards; so
 * it does not matter which process ended how. Blocking: for a thread. What a record says is the
 * caller's. */
#ifndef WEB_SEGMENT_H
#define WEB_SEGMENT_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { SEGMENT_NAME_BYTES = 64, SEGMENT_RECORD_MAX = 4 << 20 };

struct segment {
    int directory; /* borrowed; its descriptor */
    int file;      /* -1: none */
    char name[SEGMENT_NAME_BYTES];
    int64_t bytes; /* written: whole, and on the disk; read: its length */
};

/* Opens the directory of segments, and makes it where its parent stands. *directory: close it. */
bool segment_open_directory(const char *path, int *directory, struct err *err);
/* Of all segments, also those of other processes. */
struct segment_total {
    int64_t bytes;
    size_t files;
};

struct segment_total segment_total(int directory);

/* A new one, empty, locked; its name stands on the disk when this returns. */
bool segment_create(struct segment *segment, int directory, struct err *err);
/* Frames a payload (at most SEGMENT_RECORD_MAX) as a record behind what is in the buffer. */
void segment_frame(struct buf *records, const struct buf *payload);
/* True: the records are on the disk, data and length. False: they count as not written, and the
 * segment takes no more: close it. */
bool segment_append(struct segment *segment, const struct buf *records, struct err *err);
void segment_close(struct segment *segment); /* unlocks it, too */

/* Opens and locks the oldest one that nobody holds and whose name comes after that one ("": any),
 * and reads it; one that cannot be read keeps no other. err of true is of no meaning. False with
 * ERR_NONE: there is none; else: the last that cannot be read. content is made here; on false there
 * is nothing to be cleared. */
bool segment_take_oldest(struct segment *segment, int directory, const char *after,
                         struct buf *content, struct err *err);
/* The next record from *at on, and moves *at behind it; NULL: there is none any more. What is no
 * record (of a write that a crash cut off, or damaged) is passed over, and counted. */
const char *segment_next(const struct buf *content, size_t *at, size_t *length,
                         size_t *skipped_bytes);
/* Renames and closes it: NAME.damaged is no segment any more, and left to people. */
bool segment_set_aside(struct segment *segment, struct err *err);
/* Removes and closes it. Where that fails, it is emptied if it can be, so that what it said is not
 * read again. */
bool segment_remove(struct segment *segment, struct err *err);

#endif
