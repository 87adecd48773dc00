#include "web/accept.h"

#include "base/log.h"
#include "db/array.h"
#include "web_sql.h"

#include <string.h>

enum {
    CONNECTIONS = 2, /* a batch on each */
    STATEMENT_MS = 15000,
    LOCK_MS = 2000, /* for somebody who has stored the same event and does not commit */
    TIMEOUT_MS = 10000,
    BATCH_EVENTS = 1024,
    BATCH_BYTES = 4 << 20, /* of one, about */
    BATCH_EVENTS_NEXT = 4, /* of one that does not wait for another's end, at least */
    BYTES_MAX = 64 << 20
};

static void accept_flush(void *owner);

void accept_init(struct accept *accept, struct loop *loop, const struct settings *settings)
{
    const char *url = settings_text(settings, "errand", "database_url");
    const struct db_pool_options options = {
        .name = "errand webhooks",
        .conninfo = url ? url : "",
        .schema = settings_text(settings, "errand", "schema"),
        .size = CONNECTIONS,
        .statement_ms = STATEMENT_MS,
        .lock_ms = LOCK_MS,
    };
    *accept = (struct accept){.loop = loop, .timeout_ms = TIMEOUT_MS};
    accept->last = &accept->first;
    accept->soon = (struct loop_deferred){.run = accept_flush, .owner = accept};
    db_pool_init(&accept->pool, loop, &options);
}

/* ---- Gathering ---- */

static bool accept_may_send(const struct accept *accept)
{
    return accept->first && (!accept->under_way || (accept->under_way < CONNECTIONS &&
                                                    accept->gathered >= BATCH_EVENTS_NEXT));
}

static void accept_schedule(struct accept *accept)
{
    if (accept_may_send(accept))
        loop_defer(accept->loop, &accept->soon);
}

static void accept_append(struct accept *accept, struct event *event)
{
    event->next = NULL;
    *accept->last = event;
    accept->last = &event->next;
    accept->gathered++;
}

bool accept_add(struct accept *accept, struct event *event)
{
    if (accept->bytes && accept->bytes + event->length > BYTES_MAX)
        return false;
    event->alone = event->bare = false;
    accept->bytes += event->length;
    accept_append(accept, event);
    accept_schedule(accept);
    return true;
}

/* What comes from the spool is answered: its sender does not wait. */
static bool event_is_late(const struct event *event)
{
    return event->received_us != 0;
}

static bool event_goes_with(const struct event *event, const struct event *first)
{
    return event->source == first->source && !event->alone &&
           event_is_late(event) == event_is_late(first);
}

/* The first that waits, and those of its source behind it. */
static struct event *accept_take(struct accept *accept, size_t *count)
{
    struct event *taken = NULL, **last = &taken, **at = &accept->first;
    size_t bytes = 0;
    *count = 0;
    while (*at) {
        struct event *event = *at;
        if (taken && !event_goes_with(event, taken)) {
            at = &event->next;
            continue;
        }
        *at = event->next;
        event->next = NULL;
        *last = event;
        last = &event->next;
        bytes += event->length;
        if (++*count == BATCH_EVENTS || bytes >= BATCH_BYTES || event->alone)
            break;
    }
    if (!*at)
        accept->last = at;
    accept->gathered -= *count;
    return taken;
}

/* ---- A batch ---- */

struct batch {
    struct accept *accept;
    struct event *events;
    size_t count;
};

enum {
    BATCH_ARRAYS = 5 /* ids, types, headers, bodies, times */
};

static void array_add_time(struct buf *array, int64_t at_us)
{
    if (at_us)
        db_array_int(array, DB_TIMESTAMPTZ, at_us);
    else
        db_array_null(array);
}

static void batch_fill(const struct batch *batch, struct buf arrays[BATCH_ARRAYS])
{
    static const enum db_array_type types[BATCH_ARRAYS] = {DB_TEXT, DB_TEXT, DB_TEXT, DB_BYTEA,
                                                           DB_TIMESTAMPTZ};
    for (size_t i = 0; i < BATCH_ARRAYS; i++) {
        buf_init(&arrays[i], 0);
        db_array_open(&arrays[i], types[i], batch->count);
    }
    for (const struct event *event = batch->events; event; event = event->next) {
        db_array_text(&arrays[0], event->id);
        db_array_text(&arrays[1], *event->type && !event->bare ? event->type : NULL);
        db_array_text(&arrays[2], event->bare ? "{}" : buf_text(&event->headers));
        db_array_bytes(&arrays[3], event->body, event->length);
        array_add_time(&arrays[4], event->received_us);
    }
}

static void batch_add_statement(const struct batch *batch, struct db_unit *unit)
{
    const struct source *source = batch->events->source;
    struct buf arrays[BATCH_ARRAYS];
    enum { KIND = 5, QUEUE = 6, PARAMS = BATCH_ARRAYS + 3 };
    const char *params[PARAMS] = {source->name};
    int lengths[PARAMS] = {0};
    batch_fill(batch, arrays);
    for (size_t i = 0; i < BATCH_ARRAYS; i++) {
        size_t at = i < KIND - 1 ? 1 + i : QUEUE + 1;
        params[at] = arrays[i].data;
        lengths[at] = (int)arrays[i].length;
    }
    params[KIND] = source->kind;
    params[QUEUE] = source->queue;
    db_unit_add_mixed(unit, &web_sql[WEB_SQL_WEBHOOK_ACCEPT], PARAMS, params, lengths, true);
    for (size_t i = 0; i < BATCH_ARRAYS; i++)
        buf_clear(&arrays[i]);
}

static void events_end(struct accept *accept, struct event *events, enum event_end end)
{
    while (events) {
        struct event *next = events->next;
        accept->bytes -= events->length;
        events->on_done(events, end);
        events = next;
    }
}

/* bare: only the type and the headers hold text that the database may have no characters for. */
static void events_go_alone(struct accept *accept, struct event *events, bool bare)
{
    while (events) {
        struct event *next = events->next;
        events->alone = true;
        events->bare = bare;
        accept_append(accept, events);
        events = next;
    }
}

/* It says no to the statement: to one of the events, or because somebody holds one of them. */
static bool err_is_of_one(const struct err *err)
{
    return err->code == ERR_PERMANENT || strcmp(err->sqlstate, "55P03") == 0;
}

static void batch_on_stored(const struct batch *batch, size_t fresh)
{
    struct accept *accept = batch->accept;
    const struct source *source = batch->events->source;
    log_event(LOG_DEBUG, "webhooks stored", "source", source->name, "events",
              log_int((long long)batch->count), "new", log_int((long long)fresh), NULL);
    if (accept->on_stored)
        accept->on_stored(source, batch->count, fresh, accept->owner);
    events_end(accept, batch->events, EVENT_STORED);
}

static void batch_on_done(struct db_unit *unit, void *owner)
{
    struct batch *batch = owner;
    struct accept *accept = batch->accept;
    accept->under_way--;
    if (unit->err.code == ERR_NONE) {
        batch_on_stored(batch, (size_t)db_get_int(db_unit_result(unit, 0), 0, 0));
    } else if (batch->count > 1 && err_is_of_one(&unit->err)) {
        events_go_alone(accept, batch->events, false);
    } else if (unit->err.code == ERR_PERMANENT && !batch->events->bare) {
        log_event(LOG_WARN, "webhook refused by the database, stored without type and headers",
                  "source", batch->events->source->name, "event", batch->events->id, "error",
                  unit->err.text, NULL);
        events_go_alone(accept, batch->events, true);
    } else {
        if (unit->err.code != ERR_CANCELLED)
            log_event(LOG_WARN, "webhooks not stored in the database", "source",
                      batch->events->source->name, "events", log_int((long long)batch->count),
                      "event", batch->events->id, "error", unit->err.text, NULL);
        events_end(accept, batch->events,
                   unit->err.code == ERR_PERMANENT ? EVENT_REFUSED : EVENT_AWAY);
    }
    accept_schedule(accept);
}

static void accept_flush(void *owner)
{
    struct accept *accept = owner;
    if (!accept_may_send(accept))
        return;
    struct db_unit *unit = db_unit_new(DB_PLAIN, batch_on_done, NULL);
    struct batch *batch = arena_alloc(&unit->arena, sizeof *batch);
    *batch = (struct batch){.accept = accept};
    batch->events = accept_take(accept, &batch->count);
    unit->owner = batch;
    batch_add_statement(batch, unit);
    accept->under_way++;
    bool late = event_is_late(batch->events);
    unit->impatient = accept->impatient && !late;
    db_pool_submit(&accept->pool, unit, late ? TIMEOUT_MS : accept->timeout_ms);
    accept_schedule(accept);
}

void accept_clear(struct accept *accept)
{
    db_pool_clear(&accept->pool);
    loop_defer_cancel(accept->loop, &accept->soon);
    struct event *events = accept->first;
    accept->first = NULL;
    accept->last = &accept->first;
    events_end(accept, events, EVENT_AWAY);
}
