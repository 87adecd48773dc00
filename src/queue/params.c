#include "queue/params.h"

#include "db/array.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

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
    *params = (struct params){0};
    params_add_int(params, lane->number);
    params_add_int(params, lane->epoch);
}

void params_init_own(struct params *params, const struct errand_job *job)
{
    const struct entry *entry = job->owner;
    params_init(params, entry->lane);
    params_add_text(params, entry->lane->runner->id_text);
    params_add_int(params, entry->id);
    params_add_int(params, job->number);
    params_add_int(params, entry->revision);
}

void params_clear(struct params *params)
{
    for (size_t i = 0; i < params->count; i++)
        buf_clear(&params->bufs[i]);
}

static struct buf *params_open_binary(struct params *params, enum db_array_type type, size_t count)
{
    assert(params->count < PARAMS_MAX);
    struct buf *buf = &params->bufs[params->count];
    buf_init(buf, 0);
    db_array_open(buf, type, count);
    return buf;
}

static void params_close_binary(struct params *params)
{
    struct buf *buf = &params->bufs[params->count];
    params->lengths[params->count] = (int)buf->length;
    params->texts[params->count++] = buf_text(buf);
}

static size_t list_count(const struct entry *list)
{
    size_t count = 0;
    for (const struct entry *entry = list; entry; entry = entry->next)
        count++;
    return count;
}

static void params_add_ids(struct params *params, const struct entry *list, size_t count)
{
    struct buf *buf = params_open_binary(params, DB_INT8, count);
    for (const struct entry *entry = list; entry; entry = entry->next)
        db_array_int(buf, DB_INT8, entry->id);
    params_close_binary(params);
}

static void params_add_starts(struct params *params, const struct entry *list, size_t count,
                              enum db_array_type type)
{
    struct buf *buf = params_open_binary(params, type, count);
    for (const struct entry *entry = list; entry; entry = entry->next) {
        if (entry->started_us)
            db_array_int(buf, type, entry->started_us);
        else
            db_array_null(buf);
    }
    params_close_binary(params);
}

void params_add_first(struct params *params, const struct entry *list)
{
    size_t count = list_count(list);
    params_add_ids(params, list, count);
    params_add_starts(params, list, count, DB_TIMESTAMPTZ);
}

void params_add_entries(struct params *params, const struct entry *list)
{
    size_t count = list_count(list);
    params_add_ids(params, list, count);
    struct buf *buf = params_open_binary(params, DB_INT2, count);
    for (const struct entry *entry = list; entry; entry = entry->next)
        db_array_int(buf, DB_INT2, entry->attempt);
    params_close_binary(params);
    buf = params_open_binary(params, DB_INT4, count);
    for (const struct entry *entry = list; entry; entry = entry->next)
        db_array_int(buf, DB_INT4, entry->revision);
    params_close_binary(params);
    params_add_starts(params, list, count, DB_INT8);
}

void params_add_to(const struct params *params, struct db_unit *unit, int statement,
                   bool binary_result)
{
    db_unit_add_mixed(unit, &queue_sql[statement], params->count, params->texts, params->lengths,
                      binary_result);
}
