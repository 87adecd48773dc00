#include "http/http.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "http/guard.h"
#include "http/retry_after.h"
#include "http/wire.h"

#include <assert.h>
#include <curl/curl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    HTTP_TIMEOUT_MS = 30000,
    HTTP_MAX_BODY_BYTES = 1 << 20,
    HTTP_MAX_HEADER_BYTES = 64 * 1024,
    HTTP_IDLE_HANDLES = 128,
    HTTP_STREAM_BUFFER_BYTES = 16 * 1024,
    HTTP_BUFFER_BYTES =
        1024 /* of curl, for each request that is under way; its default is 16 KiB */
};

struct http {
    struct loop *loop;
    /* A connection of anybody may lead where a request with public_only must not go. */
    struct wire anybody, guarded;
    struct loop_deferred reap;     /* messages are read outside of curl's callbacks */
    CURL *idle[HTTP_IDLE_HANDLES]; /* reset, to be taken again */
    size_t idle_count;
    struct http_call *news; /* streams of which there is something to tell, a list */
    http_route *route;      /* NULL: none */
    void *route_owner;
};

struct http_call {
    struct http *http;
    struct wire *wire;
    CURL *easy;
    struct curl_slist *headers;
    char *sent_body;
    size_t sent_body_bytes;
    char *failpoint;
    struct buf body, header; /* header: lines as received, of the last response */
    struct http_answer answer;
    char curl_error[CURL_ERROR_SIZE];
    struct guard guard;
    bool too_large, running, header_whole;
    void (*on_done)(struct http_call *call, void *owner);
    void *owner;
    bool is_stream, paused, has_head, has_ended; /* of a stream, the last two as it was told */
    struct http_call *news_next, **news_at;      /* news_at: NULL while it stands in no list */
    size_t received_bytes, max_bytes;
};

/* ---- The end of a call ---- */

static void call_set_result(struct http_call *call, CURLcode code)
{
    struct http_answer *answer = &call->answer;
    long status = 0, connected = 0;
    curl_off_t sent = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &connected);
    curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    bool was_sent = connected > 0 || sent > 0;
    call->has_head = call->header_whole && status >= 200;
    answer->status = (int)status;
    answer->body = call->is_stream ? "" : buf_text(&call->body);
    answer->body_bytes = call->is_stream ? 0 : call->body.length;
    if (code == CURLE_OK && call->header_whole) {
        answer->result = ERRAND_HTTP_OK;
        return;
    }
    if (code == CURLE_OK) { /* curl takes a header that ends in the middle for one */
        code = CURLE_RECV_ERROR;
        answer->status = 0;
    }
    if (call->too_large)
        answer->result = ERRAND_HTTP_TOO_LARGE;
    else if (!was_sent)
        answer->result = ERRAND_HTTP_NOT_SENT;
    else
        answer->result = code == CURLE_OPERATION_TIMEDOUT ? ERRAND_HTTP_TIMEOUT : ERRAND_HTTP_LOST;
    const char *refusal = guard_refusal(&call->guard, code);
    snprintf(answer->error, sizeof answer->error, "%s",
             call->too_large       ? "the answer is larger than allowed"
             : refusal             ? refusal
             : call->curl_error[0] ? call->curl_error
                                   : curl_easy_strerror(code));
}

/* ---- News of streams ---- */

static void call_add_news(struct http_call *call)
{
    struct http *http = call->http;
    loop_defer(http->loop, &http->reap);
    if (call->news_at)
        return;
    call->news_next = http->news;
    call->news_at = &http->news;
    if (http->news)
        http->news->news_at = &call->news_next;
    http->news = call;
}

static void call_leave_news(struct http_call *call)
{
    if (!call->news_at)
        return;
    *call->news_at = call->news_next;
    if (call->news_next)
        call->news_next->news_at = call->news_at;
    call->news_at = NULL;
}

/* The head of an answer, not that of an interim one before it (100 Continue). */
static void call_look_for_head(struct http_call *call)
{
    long status = 0;
    if (call->has_head || !call->header_whole)
        return;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    call->has_head = status >= 200;
    call->answer.status = (int)status;
    call->answer.body = "";
}

/* Who is told may end any stream, and have more of one come: that is told in the next round. */
static void http_tell_news(struct http *http)
{
    struct http_call *now = http->news;
    http->news = NULL;
    if (now)
        now->news_at = &now;
    while (now) {
        struct http_call *call = now;
        call_leave_news(call);
        call_look_for_head(call);
        if (call->has_head)
            call->on_done(call, call->owner);
    }
}

/* ---- Handles ---- */

static CURL *http_take_handle(struct http *http)
{
    CURL *easy = http->idle_count ? http->idle[--http->idle_count] : curl_easy_init();
    assert(easy);
    return easy;
}

static void http_give_handle(struct http *http, CURL *easy)
{
    if (http->idle_count == HTTP_IDLE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    http->idle[http->idle_count++] = easy;
}

/* What only the exchange needs: who waits for it may keep the answer for long. */
static void call_end_exchange(struct http_call *call)
{
    if (call->running)
        curl_multi_remove_handle(call->wire->multi, call->easy);
    call->running = false;
    if (call->easy)
        http_give_handle(call->http, call->easy);
    curl_slist_free_all(call->headers);
    free(call->sent_body);
    call->easy = NULL;
    call->headers = NULL;
    call->sent_body = NULL;
}

static void http_reap_from(struct wire *wire)
{
    int left;
    for (CURLMsg *message; wire->multi && (message = curl_multi_info_read(wire->multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct http_call *call = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        call_set_result(call, code);
        call_end_exchange(call);
        call->has_ended = true;
        call_leave_news(call);
        call->on_done(call, call->owner);
    }
}

static void http_reap(void *owner)
{
    struct http *http = owner;
    http_reap_from(&http->anybody);
    http_reap_from(&http->guarded);
    http_tell_news(http);
}

/* ---- Data ---- */

static size_t on_body(char *data, size_t size, size_t count, void *owner)
{
    struct http_call *call = owner;
    size_t length = size * count;
    if (call->is_stream && call->body.length >= HTTP_STREAM_BYTES) {
        call->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    call->received_bytes += length;
    if (call->max_bytes && call->received_bytes > call->max_bytes) {
        call->too_large = true;
        return 0;
    }
    buf_add(&call->body, data, length);
    if (call->is_stream)
        call_add_news(call);
    return length;
}

static size_t on_header(char *data, size_t size, size_t count, void *owner)
{
    struct http_call *call = owner;
    size_t length = size * count;
    if (length > 5 && memcmp(data, "HTTP/", 5) == 0)
        buf_reset(&call->header);
    else if (call->header_whole)
        return length; /* a trailer, behind the body */
    call->header_whole = length <= 2 && data[0] != ' ' && data[length - 1] == '\n';
    if (!buf_add(&call->header, data, length)) {
        call->too_large = true;
        return 0;
    }
    if (call->is_stream && call->header_whole)
        call_add_news(call);
    return length;
}

/* Only for the failpoint "after_send": the whole request has left. */
static int on_progress(void *owner, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct http_call *call = owner;
    (void)down_total, (void)down, (void)up_total;
    if (up >= (curl_off_t)call->sent_body_bytes)
        failpoint_reach(call->failpoint, "after_send");
    return 0;
}

const char *http_call_header(const struct http_call *call, const char *name)
{
    static _Thread_local char value[1024];
    size_t length = strlen(name);
    bool found = false;
    for (const char *line = buf_text(&call->header); *line;) {
        size_t line_length = strcspn(line, "\r\n");
        if (line_length > length && strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *at = line + length + 1 + strspn(line + length + 1, " \t");
            snprintf(value, sizeof value, "%.*s", (int)(line + line_length - at), at);
            found = true;
        }
        line += line_length;
        line += strspn(line, "\r\n");
    }
    return found ? value : NULL;
}

int64_t http_call_retry_after_ms(const struct http_call *call)
{
    char date[64] = "";
    const char *value = http_call_header(call, "date");
    if (value)
        snprintf(date, sizeof date, "%s", value);
    value = http_call_header(call, "retry-after");
    return value ? retry_after_ms(value, date, clock_wall_us() / 1000000) : -1;
}

const struct http_answer *http_call_answer(const struct http_call *call)
{
    return &call->answer;
}

/* ---- Starting ---- */

struct http *http_new(struct loop *loop)
{
    struct http *http = mem_zalloc(sizeof *http);
    http->loop = loop;
    http->reap = (struct loop_deferred){.run = http_reap, .owner = http};
    wire_init(&http->anybody, loop, &http->reap);
    wire_init(&http->guarded, loop, &http->reap);
    return http;
}

void http_free(struct http *http)
{
    loop_defer_cancel(http->loop, &http->reap);
    while (http->idle_count)
        curl_easy_cleanup(http->idle[--http->idle_count]);
    wire_clear(&http->anybody);
    wire_clear(&http->guarded);
    free(http);
}

void http_set_route(struct http *http, http_route *route, void *owner)
{
    http->route = route;
    http->route_owner = owner;
}

/* A line break there would be another header, or another request. */
static bool text_has_line_break(const char *text)
{
    return text && text[strcspn(text, "\r\n")];
}

const char *http_request_fault(const struct errand_request *request)
{
    if (request->size < offsetof(struct errand_request, failpoint) || !request->url)
        return "the request has no url, or no size (.size = sizeof(struct errand_request))";
    if (!request->method)
        return "the request has no method";
    if (text_has_line_break(request->method))
        return "the request's method holds a line break";
    for (size_t i = 0; i < request->header_count; i++)
        if (text_has_line_break(request->headers[i].name) ||
            text_has_line_break(request->headers[i].value))
            return "a header of the request holds a line break";
    return NULL;
}

static void call_set_headers(struct http_call *call, const struct errand_request *request)
{
    struct buf line; /* not on the stack: a coroutine's pages that were touched once stay */
    bool agent = false;
    buf_init(&line, 0);
    for (size_t i = 0; i < request->header_count; i++) {
        agent |= strcasecmp(request->headers[i].name, "user-agent") == 0;
        buf_reset(&line);
        buf_printf(&line, "%s: %s", request->headers[i].name, request->headers[i].value);
        call->headers = curl_slist_append(call->headers, buf_text(&line));
    }
    buf_clear(&line);
    /* curl would wait a second for "100 Continue" before a body of some size. */
    call->headers = curl_slist_append(call->headers, "Expect:");
    if (!agent)
        curl_easy_setopt(call->easy, CURLOPT_USERAGENT, "errand/" ERRAND_VERSION);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
}

static void call_set_body(struct http_call *call, const struct errand_request *request)
{
    bool get = !request->method || strcmp(request->method, "GET") == 0;
    if (get && !request->body_bytes)
        return;
    call->sent_body = mem_strndup(request->body_bytes ? request->body : "", request->body_bytes);
    call->sent_body_bytes = request->body_bytes;
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->sent_body);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
    curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool request_is_public_only(const struct errand_request *request)
{
    return request->size >= offsetof(struct errand_request, public_only) + sizeof(bool) &&
           request->public_only;
}

static void call_set_options(struct http_call *call, const struct errand_request *request)
{
    CURL *easy = call->easy;
    const struct http *http = call->http;
    const char *routed = http->route ? http->route(request, http->route_owner) : NULL;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_URL, routed ? routed : request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                     (long)(request->timeout_ms > 0 ? request->timeout_ms : HTTP_TIMEOUT_MS));
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)HTTP_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    if (failpoint_enabled() && call->failpoint) {
        curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(easy, CURLOPT_XFERINFODATA, call);
    }
    if (request_is_public_only(request) && !routed)
        guard_apply(&call->guard, easy);
    call_set_headers(call, request);
    call_set_body(call, request);
}

static struct http_call *call_new(struct http *http, const struct errand_request *request,
                                  void (*on_done)(struct http_call *call, void *owner), void *owner)
{
    struct http_call *call = mem_zalloc(sizeof *call);
    call->http = http;
    call->wire = request_is_public_only(request) ? &http->guarded : &http->anybody;
    wire_need(call->wire);
    call->on_done = on_done;
    call->owner = owner;
    call->failpoint = request->failpoint ? mem_strdup(request->failpoint) : NULL;
    buf_init(&call->body, 0);
    buf_init(&call->header, HTTP_MAX_HEADER_BYTES);
    call->easy = http_take_handle(http);
    call_set_options(call, request);
    return call;
}

static struct http_call *call_start(struct http_call *call)
{
    call->running = true;
    curl_multi_add_handle(call->wire->multi, call->easy);
    return call;
}

struct http_call *http_start(struct http *http, const struct errand_request *request,
                             void (*on_done)(struct http_call *call, void *owner), void *owner)
{
    struct http_call *call = call_new(http, request, on_done, owner);
    call->max_bytes =
        request->max_response_bytes ? request->max_response_bytes : HTTP_MAX_BODY_BYTES;
    return call_start(call);
}

void http_call_free(struct http_call *call)
{
    call_end_exchange(call);
    call_leave_news(call);
    buf_clear(&call->body);
    buf_clear(&call->header);
    free(call->failpoint);
    free(call);
}

/* ---- Streams ---- */

struct http_call *http_open(struct http *http, const struct errand_request *request,
                            void (*on_news)(struct http_call *call, void *owner), void *owner)
{
    struct http_call *call = call_new(http, request, on_news, owner);
    call->is_stream = true;
    call->max_bytes = request->max_response_bytes;
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(call->easy, CURLOPT_BUFFERSIZE, (long)HTTP_STREAM_BUFFER_BYTES);
    /* Of a stream of HTTP/2 that is not read libcurl would take in 32 MiB all the same. */
    curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    return call_start(call);
}

bool http_call_has_head(const struct http_call *call)
{
    return call->has_head;
}

bool http_call_has_ended(const struct http_call *call)
{
    return call->has_ended;
}

static void call_end_early(struct http_call *call, CURLcode code)
{
    call_set_result(call, code);
    call_end_exchange(call);
    call_leave_news(call);
    call->has_ended = true;
}

void http_call_take(struct http_call *call, struct buf *into)
{
    struct buf emptied = *into;
    buf_reset(&emptied);
    *into = call->body;
    call->body = emptied;
    if (!call->paused || call->has_ended)
        return;
    call->paused = false;
    /* Hands over at once what libcurl has kept. */
    curl_easy_pause(call->easy, CURLPAUSE_CONT);
    if (call->too_large)
        call_end_early(call, CURLE_WRITE_ERROR);
}

void http_call_time_out(struct http_call *call, const char *error)
{
    call_end_early(call, CURLE_OPERATION_TIMEDOUT);
    snprintf(call->answer.error, sizeof call->answer.error, "%s", error);
}
