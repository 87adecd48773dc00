/* What runner and host process say to each other: frames, each its length, a number that says what
 * it is (wire/call.h), and fields in an order that both know. Both run on one machine and are of
 * one build, so numbers are as the machine has them. What is read is never trusted: a field that is
 * not there, or not whole, makes the reader fail, and stays empty. */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/buf.h"

#include <stdint.h>

enum {
    FRAME_HEAD_BYTES = 4,      /* uint32_t: how many bytes follow */
    FRAME_MAX_BYTES = 67108864 /* of what follows */
};

/* Writing: begin, fields, end. Several frames may stand in one buffer. */
size_t frame_begin(struct buf *buf, unsigned what); /* where it stands, for frame_end */
void frame_int(struct buf *buf, int64_t value);
void frame_double(struct buf *buf, double value);
void frame_bytes(struct buf *buf, const void *data, size_t length);
void frame_text(struct buf *buf, const char *text); /* NULL is told from "" */
void frame_texts(struct buf *buf, size_t count, const char *const *texts);
bool frame_end(struct buf *buf, size_t begun); /* false: too large, and taken back */

/* Reading: of what stands behind the length. Texts and bytes are borrowed from the data, which has
 * to stay. */
struct frame_reader {
    const char *at, *end;
    bool failed;
};

/* The number that the frame begins with. */
unsigned frame_open(struct frame_reader *reader, const char *data, size_t length);
int64_t frame_read_int(struct frame_reader *reader);
/* Of what is counted; more than `most` is a fault. */
size_t frame_read_count(struct frame_reader *reader, size_t most);
double frame_read_double(struct frame_reader *reader);
/* Behind the bytes stands a NUL. */
const char *frame_read_bytes(struct frame_reader *reader, size_t *length);
const char *frame_read_text(struct frame_reader *reader);    /* may be NULL; without NUL inside */
const char *frame_read_present(struct frame_reader *reader); /* "" and failed where it is NULL */
/* Nothing failed, and nothing is left. */
bool frame_is_read(const struct frame_reader *reader);

#endif
