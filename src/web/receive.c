#include "web/receive.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/accept.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_AFTER_S = 5,
    TELL_EVERY_US = 10000000,
    SPOOL_AFTER_MS = 2000 /* what the database has not taken by then goes to the spool; sooner when
                             no connection can be made */
};

struct receive_source {
    const struct source *source;
    struct signature_keys keys;
    int64_t told_us; /* when the log told of refused requests; 0: never */
    size_t untold;
    struct receive_counts counts;
};

struct receive {
    struct accept accept;
    struct spool *spool; /* NULL: none */
    struct source_list list;
    struct receive_source *sources;
    size_t count;
};

static void receive_say(struct httpd_request *request, int status, const char *sentence)
{
    httpd_answer(request, &(struct httpd_answer){.status = status,
                                                 .retry_after_s = status == 503 ? RETRY_AFTER_S : 0,
                                                 .body = sentence,
                                                 .length = strlen(sentence)});
}

/* ---- Refusing ---- */

/* One line at most every ten seconds: how many requests are refused is for others to choose. */
static void receive_tell_refused(struct receive_source *from, const char *client, const char *why)
{
    int64_t now_us = clock_mono_us();
    from->untold++;
    if (from->told_us && now_us - from->told_us < TELL_EVERY_US)
        return;
    log_event(LOG_WARN, "webhook refused", "source", from->source->name, "reason", why, "client",
              client, "refused", log_int((long long)from->untold), NULL);
    from->told_us = now_us;
    from->untold = 0;
}

/* NULL: the signature is right, and *id the event's. Else why not, which is counted and told. */
static const char *receive_fault(struct receive_source *from, const struct httpd_request *request,
                                 const char **id)
{
    enum signed_class class;
    const char *fault = signed_fault(&from->keys, request, id, &class);
    if (fault) {
        from->counts.refused[class]++;
        receive_tell_refused(from, request->client, fault);
    }
    return fault;
}

static void receive_refuse(struct httpd_request *request, const char *why)
{
    char line[128] = "";
    strncat(line, why, sizeof line - 2);
    strcat(line, "\n");
    receive_say(request, 401, line);
}

/* ---- The event ---- */

struct incoming {
    struct event event;
    struct receive *receive;
    struct receive_source *from;
    struct httpd_request *request;
    bool spooled; /* or it was tried */
};

static void incoming_count(struct incoming *incoming, bool taken)
{
    struct receive_counts *counts = &incoming->from->counts;
    if (!taken)
        counts->unavailable++;
    else if (incoming->spooled)
        counts->spooled++;
    else
        counts->stored++;
}

static void incoming_end(struct incoming *incoming, bool taken)
{
    struct httpd_request *request = incoming->request;
    incoming_count(incoming, taken);
    buf_clear(&incoming->event.headers);
    free(incoming);
    if (taken)
        receive_say(request, 200, "ok\n");
    else
        receive_say(request, 503, "the event could not be stored, send it again\n");
}

static void receive_spool(struct incoming *incoming, bool away)
{
    incoming->spooled = true;
    if (!spool_add(incoming->receive->spool, &incoming->event, away))
        incoming_end(incoming, false);
}

static void receive_on_done(struct event *event, enum event_end end)
{
    struct incoming *incoming = event->owner;
    bool taken = end == EVENT_STORED || end == EVENT_SPOOLED;
    if (taken || incoming->spooled)
        incoming_end(incoming, taken);
    else
        receive_spool(incoming, end == EVENT_AWAY);
}

static struct incoming *receive_make(struct receive *receive, struct receive_source *from,
                                     struct httpd_request *request, const char *id)
{
    struct incoming *incoming = mem_zalloc(sizeof *incoming);
    struct event *event = &incoming->event;
    incoming->receive = receive;
    incoming->from = from;
    incoming->request = request;
    event->source = from->source;
    event->body = request->body;
    event->length = request->body_length;
    event->on_done = receive_on_done;
    event->owner = incoming;
    buf_init(&event->headers, 0);
    event_set_id(event, id);
    event_set_type(event);
    event_open_headers(event);
    for (const struct httpd_header *at = request->headers; at; at = at->next)
        event_add_header(event, at->name, at->value);
    event_close_headers(event);
    return incoming;
}

static void receive_from(struct receive *receive, struct receive_source *from,
                         struct httpd_request *request)
{
    const char *id, *fault = receive_fault(from, request, &id);
    if (fault) {
        receive_refuse(request, fault);
        return;
    }
    struct incoming *incoming = receive_make(receive, from, request, id);
    if (!spool_is_wanted(receive->spool) && accept_add(&receive->accept, &incoming->event))
        return;
    receive_spool(incoming, true);
}

static struct receive_source *receive_find(struct receive *receive, const char *name)
{
    for (size_t i = 0; i < receive->count; i++)
        if (strcmp(receive->sources[i].source->name, name) == 0)
            return &receive->sources[i];
    return NULL;
}

bool receive_refuses(struct receive *receive, const char *name, const struct httpd_request *request,
                     struct httpd_refusal *refusal)
{
    struct receive_source *from = receive_find(receive, name);
    const char *id;
    if (!from)
        return false;
    *refusal = (struct httpd_refusal){.status = 401, .why = receive_fault(from, request, &id)};
    return refusal->why != NULL;
}

void receive_handle(struct receive *receive, const char *name, struct httpd_request *request)
{
    struct receive_source *from = receive_find(receive, name);
    if (from)
        receive_from(receive, from, request);
    else
        receive_say(request, 404, "there is no source of webhooks of this name\n");
}

/* ---- Counts ---- */

/* What the spool holds may be of a source that is none any more. */
static void receive_on_stored(const struct source *source, size_t events, size_t fresh, void *owner)
{
    struct receive_source *from = receive_find(owner, source->name);
    if (!from)
        return;
    from->counts.first += fresh;
    from->counts.again += events - fresh;
}

void receive_counts(const struct receive *receive,
                    void (*each)(const struct receive_counts *counts, void *context), void *context)
{
    for (size_t i = 0; i < receive->count; i++)
        each(&receive->sources[i].counts, context);
}

bool receive_spool_counts(const struct receive *receive, struct spool_counts *counts)
{
    if (receive->spool)
        spool_counts(receive->spool, counts);
    return receive->spool != NULL;
}

const struct db_pool *receive_pool(const struct receive *receive)
{
    return &receive->accept.pool;
}

/* ---- From beginning to end ---- */

/* Of one that errand knows by itself it may be meant so. */
static bool receive_check_set(const struct receive_source *from, struct err *err)
{
    const struct source *source = from->source;
    char setting[128];
    if (from->keys.count)
        return true;
    snprintf(setting, sizeof setting, "%s.%s", source->section, source->secret);
    if (source_is_own(source))
        return err_set(err, ERR_CONFIG, "%s is not set, and nothing is taken without it", setting);
    log_event(LOG_INFO, "no secret is set, so every webhook of this source is refused", "source",
              source->name, "setting", setting, NULL);
    return true;
}

bool receive_new(struct receive **made, struct loop *loop, const struct settings *settings,
                 void (*on_quiet)(void *owner), void *owner, struct err *err)
{
    struct source_list list;
    if (!source_list_init(&list, settings, err))
        return false;
    struct receive *receive = mem_zalloc(sizeof *receive);
    accept_init(&receive->accept, loop, settings);
    receive->accept.on_stored = receive_on_stored;
    receive->accept.owner = receive;
    receive->list = list;
    receive->sources = mem_zalloc(list.count * sizeof *receive->sources);
    *made = receive;
    for (size_t i = 0; i < list.count; i++) {
        struct receive_source *from = &receive->sources[receive->count++];
        from->source = &list.sources[i];
        from->counts.source = from->source->name;
        if (!source_keys(from->source, settings, &from->keys, err) || !receive_check_set(from, err))
            return false;
    }
    if (!spool_new(&receive->spool, loop, settings, &receive->accept, &receive->list, on_quiet,
                   owner, err))
        return false;
    if (receive->spool) {
        receive->accept.timeout_ms = SPOOL_AFTER_MS;
        receive->accept.impatient = true;
    }
    return true;
}

void receive_stop(struct receive *receive)
{
    spool_stop(receive->spool);
}

bool receive_is_quiet(const struct receive *receive)
{
    return spool_is_quiet(receive->spool);
}

void receive_free(struct receive *receive)
{
    if (!receive)
        return;
    struct spool *spool = receive->spool;
    receive->spool = NULL; /* nothing more goes there */
    accept_clear(&receive->accept);
    spool_free(spool);
    for (size_t i = 0; i < receive->count; i++)
        signature_keys_clear(&receive->sources[i].keys);
    source_list_clear(&receive->list);
    free(receive->sources);
    free(receive);
}
