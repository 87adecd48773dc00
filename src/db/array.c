#include "db/array.h"

#include "db/unit.h"

#include <endian.h>
#include <string.h>

static void array_add_four(struct buf *buf, uint32_t value)
{
    value = htobe32(value);
    buf_add(buf, &value, sizeof value);
}

void db_array_open(struct buf *buf, enum db_array_type type, size_t count)
{
    buf_reset(buf);
    array_add_four(buf, count ? 1 : 0); /* dimensions */
    array_add_four(buf, 0);             /* flags; nulls are found all the same */
    array_add_four(buf, type);
    if (!count)
        return;
    array_add_four(buf, (uint32_t)count);
    array_add_four(buf, 1); /* the first one's number */
}

void db_array_int(struct buf *buf, enum db_array_type type, int64_t value)
{
    unsigned char element[12];
    uint32_t size = type == DB_INT2 ? 2 : type == DB_INT4 ? 4 : 8;
    if (type == DB_TIMESTAMPTZ)
        value -= DB_EPOCH_US;
    uint32_t length = htobe32(size);
    uint64_t whole = htobe64((uint64_t)value << (64 - 8 * size));
    memcpy(element, &length, 4);
    memcpy(element + 4, &whole, 8);
    buf_add(buf, element, 4 + size);
}

void db_array_bytes(struct buf *buf, const void *data, size_t length)
{
    array_add_four(buf, (uint32_t)length);
    buf_add(buf, data, length);
}

void db_array_text(struct buf *buf, const char *text)
{
    if (text)
        db_array_bytes(buf, text, strlen(text));
    else
        db_array_null(buf);
}

void db_array_null(struct buf *buf)
{
    array_add_four(buf, UINT32_MAX);
}
