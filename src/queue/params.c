#include "queue/params.h"

#include <assert.h>

struct buf *params_open_array(struct params *params)
{
    assert(params->count < PARAMS_MAX);
    struct buf *buf = &params->bufs[params->count];
    buf_init(buf, 0);
    buf_array_open(buf);
    return buf;
}

void params_close_array(struct params *params)
{
    struct buf *buf = &params->bufs[params->count];
    buf_array_close(buf);
    params->texts[params->count++] = buf_text(buf);
}

void params_add_text(struct params *params, const char *text)
{
    assert(params->count < PARAMS_MAX);
    buf_init(&params->bufs[params->count], 0);
    params->texts[params->count++] = text;
}

void params_add_int(struct params *params, long long value)
{
    assert(params->count < PARAMS_MAX);
    struct buf *buf = &params->bufs[params->count];
    buf_init(buf, 0);
    buf_printf(buf, "%lld", value);
    params->texts[params->count++] = buf_text(buf);
}

void params_init(struct params *params, const struct lane *lane)
{
    params->count = 0;
    params_add_int(params, lane->number);
    params_add_int(params, lane->epoch);
}

void params_clear(struct params *params)
{
    for (size_t i = 0; i < params->count; i++)
        buf_clear(&params->bufs[i]);
}

void params_add_entries(struct params *params, const struct entry *list)
{
    struct buf *buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry->id);
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry->attempt);
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry->revision);
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next) {
        if (entry->started_us)
            buf_array_int(buf, entry->started_us);
        else
            buf_array_text(buf, NULL);
    }
    params_close_array(params);
}
