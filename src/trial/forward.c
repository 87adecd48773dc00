#include "trial/forward.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FORWARD_TIMEOUT_MS = 120000, FORWARD_MAX_BYTES = 64 << 20 };

void forward_init(struct forward *forward)
{
    *forward = (struct forward){.headers = json_object()};
    buf_init(&forward->body, FORWARD_MAX_BYTES);
}

void forward_clear(struct forward *forward)
{
    curl_slist_free_all(forward->sent);
    json_decref(forward->headers);
    buf_clear(&forward->body);
    *forward = (struct forward){0};
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

void forward_add_header(struct forward *forward, const char *name, const char *value)
{
    static const char *const own[] = {"host", "content-length", "connection", "expect", NULL};
    struct buf line;
    if (is_one_of(name, own))
        return;
    buf_init(&line, 0);
    buf_printf(&line, "%s: %s", name, value);
    forward->sent = curl_slist_append(forward->sent, buf_text(&line));
    buf_clear(&line);
}

static size_t on_body(char *data, size_t size, size_t count, void *owner)
{
    struct forward *forward = owner;
    return buf_add(&forward->body, data, size * count) ? size * count : 0;
}

/* Of the last answer: one before it (100 Continue) is forgotten. */
static size_t on_header(char *data, size_t size, size_t count, void *owner)
{
    static const char *const left_out[] = {"content-length", "transfer-encoding", "connection",
                                           "keep-alive",     "set-cookie",        NULL};
    struct forward *forward = owner;
    size_t length = size * count;
    if (length > 5 && memcmp(data, "HTTP/", 5) == 0)
        json_object_clear(forward->headers);
    const char *colon = memchr(data, ':', length);
    if (!colon)
        return length;
    struct buf name;
    buf_init(&name, 0);
    buf_add(&name, data, (size_t)(colon - data));
    const char *value = colon + 1, *end = data + length;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    if (!is_one_of(buf_text(&name), left_out))
        json_object_set_new(forward->headers, buf_text(&name),
                            json_stringn(value, (size_t)(end - value)));
    buf_clear(&name);
    return length;
}

bool forward_run(struct forward *forward, const char *method, const char *url, const char *body,
                 size_t length)
{
    CURL *easy = curl_easy_init();
    long status = 0;
    if (!easy)
        return false;
    forward->sent = curl_slist_append(forward->sent, "Expect:");
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)FORWARD_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, forward->sent);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, forward);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, forward);
    if (length > 0 || strcmp(method, "GET") != 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body ? body : "");
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
    CURLcode ended = curl_easy_perform(easy);
    bool came = ended == CURLE_OK;
    if (came)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    else
        forward->error = curl_easy_strerror(ended);
    forward->status = (int)status;
    curl_easy_cleanup(easy);
    return came && status > 0;
}
