#include "wire/frame.h"

#include <string.h>

/* ---- Writing ---- */

size_t frame_begin(struct buf *buf, unsigned what)
{
    size_t begun = buf->length;
    const uint32_t head = 0;
    buf_add(buf, &head, sizeof head);
    frame_int(buf, what);
    return begun;
}

void frame_int(struct buf *buf, int64_t value)
{
    buf_add(buf, &value, sizeof value);
}

void frame_double(struct buf *buf, double value)
{
    buf_add(buf, &value, sizeof value);
}

void frame_bytes(struct buf *buf, const void *data, size_t length)
{
    frame_int(buf, (int64_t)length);
    if (length)
        buf_add(buf, data, length);
    buf_add_char(buf, '\0');
}

void frame_text(struct buf *buf, const char *text)
{
    if (text)
        frame_bytes(buf, text, strlen(text));
    else
        frame_int(buf, -1);
}

void frame_texts(struct buf *buf, size_t count, const char *const *texts)
{
    frame_int(buf, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        frame_text(buf, texts[i]);
}

bool frame_end(struct buf *buf, size_t begun)
{
    size_t length = buf->length - begun - FRAME_HEAD_BYTES;
    if (length > FRAME_MAX_BYTES) {
        buf->length = begun;
        return false;
    }
    const uint32_t head = (uint32_t)length;
    memcpy(buf->data + begun, &head, sizeof head);
    return true;
}

/* ---- Reading ---- */

unsigned frame_open(struct frame_reader *reader, const char *data, size_t length)
{
    *reader = (struct frame_reader){.at = data, .end = data + length};
    int64_t what = frame_read_int(reader);
    if (what < 0 || what > UINT16_MAX)
        reader->failed = true;
    return reader->failed ? UINT16_MAX : (unsigned)what;
}

static bool frame_take(struct frame_reader *reader, void *value, size_t size)
{
    if (reader->failed || (size_t)(reader->end - reader->at) < size) {
        reader->failed = true;
        memset(value, 0, size);
        return false;
    }
    memcpy(value, reader->at, size);
    reader->at += size;
    return true;
}

int64_t frame_read_int(struct frame_reader *reader)
{
    int64_t value;
    frame_take(reader, &value, sizeof value);
    return value;
}

size_t frame_read_count(struct frame_reader *reader, size_t most)
{
    int64_t count = frame_read_int(reader);
    if (count >= 0 && (uint64_t)count <= most)
        return (size_t)count;
    reader->failed = true;
    return 0;
}

double frame_read_double(struct frame_reader *reader)
{
    double value;
    frame_take(reader, &value, sizeof value);
    return value;
}

/* length is the field's first number; NULL: it is no length of what is there. */
static const char *frame_piece(struct frame_reader *reader, int64_t length)
{
    const char *at = reader->at;
    if (reader->failed || length < 0 || length >= reader->end - at || at[length] != '\0') {
        reader->failed = true;
        return NULL;
    }
    reader->at += length + 1;
    return at;
}

const char *frame_read_bytes(struct frame_reader *reader, size_t *length)
{
    int64_t told = frame_read_int(reader);
    const char *bytes = frame_piece(reader, told);
    *length = bytes ? (size_t)told : 0;
    return bytes ? bytes : "";
}

const char *frame_read_text(struct frame_reader *reader)
{
    int64_t told = frame_read_int(reader);
    if (told == -1)
        return NULL;
    const char *text = frame_piece(reader, told);
    if (text && strlen(text) != (size_t)told) {
        reader->failed = true;
        return NULL;
    }
    return text;
}

const char *frame_read_present(struct frame_reader *reader)
{
    const char *text = frame_read_text(reader);
    if (!text)
        reader->failed = true;
    return text ? text : "";
}

bool frame_is_read(const struct frame_reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}
