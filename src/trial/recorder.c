#include "trial/recorder.h"

#include "base/buf.h"
#include "base/mem.h"
#include "trial/forward.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { URL_BYTES = 64, REQUEST_MAX_BYTES = 64 << 20 };

struct exchange {
    char *method, *url;
    size_t request_bytes;
    const json_t *answer;   /* of the tape */
    size_t number;          /* of the answer in it */
    struct forward forward; /* what came when it was sent on */
    struct exchange *next;
};

struct recorder {
    struct tape *tape;
    struct MHD_Daemon *daemon;
    unsigned port;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t ending;
    struct exchange *first, **last;
    size_t count;
    bool ends;
    char *unmatched;
    char url[URL_BYTES];
};

/* One connection's request, while it comes. */
struct incoming {
    struct buf body;
    struct exchange *exchange; /* NULL: none that was routed here */
};

/* ---- Routing ---- */

const char *recorder_route(const struct errand_request *request, void *owner)
{
    struct recorder *recorder = owner;
    struct exchange *exchange = mem_zalloc(sizeof *exchange);
    exchange->method = mem_strdup(request->method ? request->method : "GET");
    exchange->url = mem_strdup(request->url);
    exchange->request_bytes = request->body_bytes;
    pthread_mutex_lock(&recorder->mutex);
    if (recorder->tape)
        exchange->answer =
            tape_take(recorder->tape, exchange->method, exchange->url, &exchange->number);
    if (recorder->tape && !exchange->answer && !recorder->unmatched) {
        size_t size = strlen(exchange->method) + strlen(exchange->url) + 2;
        recorder->unmatched = mem_zalloc(size);
        snprintf(recorder->unmatched, size, "%s %s", exchange->method, exchange->url);
    }
    *recorder->last = exchange;
    recorder->last = &exchange->next;
    snprintf(recorder->url, sizeof recorder->url, "http://127.0.0.1:%u/%zu", recorder->port,
             recorder->count++);
    pthread_mutex_unlock(&recorder->mutex);
    return recorder->url;
}

static struct exchange *recorder_find(struct recorder *recorder, const char *path)
{
    size_t number = strtoul(path + 1, NULL, 10);
    pthread_mutex_lock(&recorder->mutex);
    struct exchange *exchange = recorder->first;
    while (exchange && number-- > 0)
        exchange = exchange->next;
    pthread_mutex_unlock(&recorder->mutex);
    return exchange;
}

/* ---- Answering ---- */

static enum MHD_Result answer_send(struct MHD_Connection *connection, int status, char *body,
                                   size_t length, json_t *headers)
{
    static const char *const own[] = {"content-length", "transfer-encoding", "connection"};
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, body, MHD_RESPMEM_MUST_FREE);
    const char *name;
    json_t *value;
    json_object_foreach(headers, name, value)
    {
        bool is_own = false;
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            is_own = is_own || strcasecmp(name, own[i]) == 0;
        if (!is_own)
            MHD_add_response_header(response, name, json_string_value(value));
    }
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

/* False: the trial is over. */
static bool recorder_delay(struct recorder *recorder, json_int_t ms)
{
    struct timespec until;
    int result = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&recorder->mutex);
    while (ms > 0 && !recorder->ends && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&recorder->ending, &recorder->mutex, &until);
    bool goes_on = !recorder->ends;
    pthread_mutex_unlock(&recorder->mutex);
    return goes_on;
}

static int answer_status(const json_t *answer)
{
    const json_t *status = json_object_get(answer, "status");
    return status ? (int)json_integer_value(status) : 200;
}

static enum MHD_Result answer_recorded(struct recorder *recorder, const struct exchange *exchange,
                                       struct MHD_Connection *connection)
{
    const json_t *answer = exchange->answer;
    size_t length;
    if (!recorder_delay(recorder, json_integer_value(json_object_get(answer, "delay_ms"))) ||
        json_is_true(json_object_get(answer, "lost")))
        return MHD_NO;
    char *body = tape_body(answer, &length);
    return answer_send(connection, answer_status(answer), body, length,
                       json_object_get(answer, "headers"));
}

static enum MHD_Result answer_missing(const struct exchange *exchange,
                                      struct MHD_Connection *connection)
{
    size_t size = strlen(exchange->url) + 64;
    char *text = mem_zalloc(size);
    snprintf(text, size, "no recorded answer for %.10s %s", exchange->method, exchange->url);
    return answer_send(connection, 501, text, strlen(text), NULL);
}

static enum MHD_Result add_header(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    forward_add_header(context, name, value);
    return MHD_YES;
}

static enum MHD_Result answer_forwarded(struct recorder *recorder, struct exchange *exchange,
                                        const struct buf *request,
                                        struct MHD_Connection *connection)
{
    struct forward forward;
    forward_init(&forward);
    MHD_get_connection_values(connection, MHD_HEADER_KIND, add_header, &forward);
    bool came =
        forward_run(&forward, exchange->method, exchange->url, request->data, request->length);
    pthread_mutex_lock(&recorder->mutex);
    exchange->forward = forward;
    pthread_mutex_unlock(&recorder->mutex);
    if (!came)
        return MHD_NO;
    return answer_send(connection, forward.status,
                       mem_strndup(buf_text(&forward.body), forward.body.length),
                       forward.body.length, forward.headers);
}

static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *length, void **context)
{
    struct recorder *recorder = owner;
    struct incoming *incoming = *context;
    (void)method, (void)version;
    if (!incoming) {
        incoming = mem_zalloc(sizeof *incoming);
        buf_init(&incoming->body, REQUEST_MAX_BYTES);
        incoming->exchange = recorder_find(recorder, url);
        *context = incoming;
        return incoming->exchange ? MHD_YES : MHD_NO;
    }
    if (*length > 0) {
        bool added = buf_add(&incoming->body, data, *length);
        *length = 0;
        return added ? MHD_YES : MHD_NO;
    }
    if (!recorder->tape)
        return answer_forwarded(recorder, incoming->exchange, &incoming->body, connection);
    return incoming->exchange->answer ? answer_recorded(recorder, incoming->exchange, connection)
                                      : answer_missing(incoming->exchange, connection);
}

static void on_completed(void *owner, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct incoming *incoming = *context;
    (void)owner, (void)connection, (void)code;
    if (incoming)
        buf_clear(&incoming->body);
    free(incoming);
}

/* ---- What was asked for ---- */

static json_t *exchange_json(const struct exchange *exchange)
{
    json_t *item = json_pack("{s:s, s:s, s:I}", "method", exchange->method, "url", exchange->url,
                             "request_bytes", (json_int_t)exchange->request_bytes);
    if (exchange->answer && !json_is_true(json_object_get(exchange->answer, "lost"))) {
        size_t length;
        free(tape_body(exchange->answer, &length));
        json_object_set_new(item, "status", json_integer(answer_status(exchange->answer)));
        json_object_set_new(item, "bytes", json_integer((json_int_t)length));
    } else if (exchange->forward.status) {
        json_object_set_new(item, "status", json_integer(exchange->forward.status));
        json_object_set_new(item, "bytes", json_integer((json_int_t)exchange->forward.body.length));
    }
    if (exchange->forward.error)
        json_object_set_new(item, "error", json_string(exchange->forward.error));
    if (exchange->number)
        json_object_set_new(item, "answer", json_integer((json_int_t)exchange->number));
    return item;
}

json_t *recorder_requests(struct recorder *recorder)
{
    json_t *items = json_array();
    pthread_mutex_lock(&recorder->mutex);
    for (const struct exchange *exchange = recorder->first; exchange; exchange = exchange->next)
        json_array_append_new(items, exchange_json(exchange));
    pthread_mutex_unlock(&recorder->mutex);
    return items;
}

const char *recorder_unmatched(const struct recorder *recorder)
{
    return recorder->unmatched;
}

json_t *recorder_recorded(struct recorder *recorder)
{
    json_t *answers = json_array();
    pthread_mutex_lock(&recorder->mutex);
    for (const struct exchange *exchange = recorder->first; exchange; exchange = exchange->next)
        if (exchange->forward.status)
            json_array_append_new(answers, tape_record(exchange->method, exchange->url,
                                                       exchange->forward.status,
                                                       json_incref(exchange->forward.headers),
                                                       buf_text(&exchange->forward.body),
                                                       exchange->forward.body.length));
    pthread_mutex_unlock(&recorder->mutex);
    return answers;
}

/* ---- Building and tearing down ---- */

bool recorder_new(struct recorder **made, struct tape *tape, struct err *err)
{
    struct recorder *recorder = mem_zalloc(sizeof *recorder);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    recorder->tape = tape;
    recorder->last = &recorder->first;
    pthread_mutex_init(&recorder->mutex, NULL);
    pthread_cond_init(&recorder->ending, NULL);
    recorder->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL, on_request,
        recorder, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_END);
    if (!recorder->daemon) {
        recorder_free(recorder);
        return err_set(err, ERR_TEMPORARY, "the server of recorded answers does not start: %s",
                       strerror(errno));
    }
    recorder->port = MHD_get_daemon_info(recorder->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    *made = recorder;
    return true;
}

void recorder_free(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    recorder->ends = true;
    pthread_cond_broadcast(&recorder->ending);
    pthread_mutex_unlock(&recorder->mutex);
    if (recorder->daemon)
        MHD_stop_daemon(recorder->daemon);
    while (recorder->first) {
        struct exchange *next = recorder->first->next;
        forward_clear(&recorder->first->forward);
        free(recorder->first->method);
        free(recorder->first->url);
        free(recorder->first);
        recorder->first = next;
    }
    pthread_cond_destroy(&recorder->ending);
    pthread_mutex_destroy(&recorder->mutex);
    free(recorder->unmatched);
    free(recorder);
}
