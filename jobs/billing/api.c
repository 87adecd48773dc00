/* The API speaks JSON:API: {"data": resource or array, "included": array, "meta": {"page":
 * {"currentPage", "lastPage"}}}. Its links are not followed: the key goes to api_url alone. */
#include "api.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE_SIZE = 100, /* the most that the API gives */
    ANSWER_MAX_BYTES = 8388608,
    BAD_KEY_PAUSE_MS = 3600000,
    SLOW_WAIT_MS = 60000 /* a 429 that does not say how long */
};

static struct {
    char *url, *authorization, *store;
} api;

/* ---- Settings ---- */

static bool api_set_url(struct errand_host *host)
{
    const char *url = errand_host_setting(host, "api_url");
    size_t length = strlen(url);
    if ((strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) ||
        strpbrk(url, " \t\r\n?#")) {
        errand_host_error(host, "api_url is no http:// or https:// address of an API");
        return false;
    }
    while (url[length - 1] == '/')
        length--;
    api.url = strndup(url, length);
    return api.url != NULL;
}

static bool api_set_key(struct errand_host *host)
{
    static const char scheme[] = "Bearer ";
    const char *key = errand_host_setting(host, "api_key");
    if (!key || !*key)
        return true;
    for (const char *at = key; *at; at++)
        if (*at <= ' ' || *at > '~') {
            errand_host_error(host, "api_key has a character that no key has");
            return false;
        }
    api.authorization = calloc(1, sizeof scheme + strlen(key));
    if (!api.authorization)
        return false;
    strcpy(api.authorization, scheme);
    strcpy(api.authorization + sizeof scheme - 1, key);
    return true;
}

static bool api_set_store(struct errand_host *host)
{
    const char *store = errand_host_setting(host, "store_id");
    if (!store || !*store)
        return true;
    if (store[strspn(store, "0123456789")]) {
        errand_host_error(host, "store_id is the number of a store");
        return false;
    }
    api.store = strdup(store);
    return api.store != NULL;
}

bool api_start(struct errand_host *host)
{
    return api_set_url(host) && api_set_key(host) && api_set_store(host);
}

void api_stop(void)
{
    free(api.url);
    free(api.authorization);
    free(api.store);
    api.url = api.authorization = api.store = NULL;
}

bool api_has_key(void)
{
    return api.authorization != NULL;
}

/* ---- Paths ---- */

const char *api_list_path(struct errand_job *job, int page)
{
    return errand_printf(job, "/v1/subscriptions?page%%5Bnumber%%5D=%d&page%%5Bsize%%5D=%d%s%s",
                         page, PAGE_SIZE, api.store ? "&filter%5Bstore_id%5D=" : "",
                         api.store ? api.store : "");
}

const char *api_one_path(struct errand_job *job, const char *what, const char *id)
{
    if (strcmp(what, "customer") == 0)
        return errand_printf(job, "/v1/customers/%s?include=subscriptions", id);
    return errand_printf(job, "/v1/subscriptions/%s", id);
}

/* ---- Answers ---- */

static void value_give_back(void *value)
{
    json_decref(value);
}

static json_t *value_keep(struct errand_job *job, json_t *value)
{
    if (value)
        errand_cleanup(job, value_give_back, value);
    return value;
}

/* False: it has not the shape of an answer. */
static bool answer_read(struct errand_job *job, const struct errand_response *response,
                        struct api_answer *answer)
{
    json_t *body = value_keep(job, json_loadb(response->body, response->body_bytes, 0, NULL));
    json_t *data = json_object_get(body, "data");
    const json_t *included = json_object_get(body, "included");
    const json_t *page = json_object_get(json_object_get(body, "meta"), "page");
    if (json_is_array(data)) {
        answer->resources = data;
        answer->is_last = json_array_size(data) == 0 ||
                          json_integer_value(json_object_get(page, "currentPage")) >=
                              json_integer_value(json_object_get(page, "lastPage"));
        return json_is_integer(json_object_get(page, "lastPage"));
    }
    answer->resources = included ? included : value_keep(job, json_pack("[O]", data));
    return json_is_object(data) && json_is_array(answer->resources);
}

/* In one line: of the body of an error, {"errors": [{"title", "detail"}]}. */
static const char *answer_words(struct errand_job *job, const struct errand_response *response)
{
    json_t *body = value_keep(job, json_loadb(response->body, response->body_bytes, 0, NULL));
    const json_t *first = json_array_get(json_object_get(body, "errors"), 0);
    const char *detail = json_string_value(json_object_get(first, "detail"));
    return detail ? errand_printf(job, ": %.200s", detail) : "";
}

/* Not a failed attempt: the provider wants to be asked less often. */
static void finish_slow(struct errand_job *job, const char *path)
{
    int64_t wait_ms = errand_http_retry_after_ms(job);
    if (wait_ms < 0)
        wait_ms = SLOW_WAIT_MS;
    errand_queue_hold(job, wait_ms);
    errand_snooze(job, errand_now_us(job) + wait_ms * 1000,
                  "GET %s: the provider wants fewer requests (429)", path);
}

static void finish_bad_key(struct errand_job *job, int status, const char *words)
{
    errand_queue_pause(job, BAD_KEY_PAUSE_MS,
                       "Lemon Squeezy does not take [billing] api_key (%d%s)", status, words);
    errand_snooze(job, errand_now_us(job), "the provider does not take the API key (%d)", status);
}

static void finish_by_class(struct errand_job *job, const char *path,
                            const struct errand_response *response)
{
    enum errand_http_class class = errand_http_class(response);
    const char *words = response->result != ERRAND_HTTP_OK
                            ? errand_printf(job, ": %s", response->error)
                            : answer_words(job, response);
    if (response->status == 429)
        finish_slow(job, path);
    else if (response->status == 401 || response->status == 403)
        finish_bad_key(job, response->status, words);
    else if (class == ERRAND_HTTP_CLASS_FAIL)
        errand_fail(job, "GET %s: status %d%s", path, response->status, words);
    else
        errand_retry(job, errand_http_retry_after_ms(job), "GET %s: status %d%s", path,
                     response->status, words);
}

bool api_get(struct errand_job *job, const char *path, struct api_answer *answer)
{
    const struct errand_header headers[] = {{"Accept", "application/vnd.api+json"},
                                            {"Authorization", api.authorization}};
    const struct errand_request request = {
        .size = sizeof request,
        .method = "GET",
        .url = errand_printf(job, "%s%s", api.url, path),
        .headers = headers,
        .header_count = sizeof headers / sizeof *headers,
        .max_response_bytes = ANSWER_MAX_BYTES,
        .failpoint = "api",
    };
    struct errand_response response;
    *answer = (struct api_answer){0};
    errand_http(job, &request, &response);
    if (response.status == 404) {
        answer->missing = true;
        answer->resources = value_keep(job, json_array());
        return true;
    }
    if (errand_http_class(&response) != ERRAND_HTTP_CLASS_OK) {
        finish_by_class(job, path, &response);
        return false;
    }
    if (answer_read(job, &response, answer))
        return true;
    errand_retry(job, -1, "GET %s: the answer is not one of Lemon Squeezy's API", path);
    return false;
}
