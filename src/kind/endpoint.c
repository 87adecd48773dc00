#include "kind/endpoint.h"

#include "config/setting_value.h"
#include "kind/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 20000,
    SETTLE_MS = 10000, /* of an attempt's time, beside the request's */
    TIMEOUT_MAX_MS = 86400000,
    HEADERS_MAX = 20,
    SECRET_FILE_BYTES = 2048,
    ATTEMPTS = 10 /* as many as the schedule has */
};

const struct errand_setting endpoint_settings[ENDPOINT_SETTINGS] = {
    {"url", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "where jobs are sent"},
    {"secret", ERRAND_SETTING_SECRET, NULL, NULL, 0, 0, "whsec_..., signs what is sent"},
    {"secret_old", ERRAND_SETTING_SECRET, NULL, NULL, 0, 0, "the one before it, signs as well"},
    {"secret_file", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "file with the two, a line each"},
    {"header", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "Name: value, sent as well; may come again"},
    {"max_response_bytes", ERRAND_SETTING_INTEGER, "1048576", NULL, 1, ERRAND_RESULT_MAX,
     "of an answer"},
    {"allow_private", ERRAND_SETTING_BOOLEAN, "false", NULL, 0, 0,
     "http, and addresses that are not public"},
    {"callback_timeout_ms", ERRAND_SETTING_INTEGER, NULL, NULL, 1000, INT64_C(30) * 86400000,
     "how long it may take to answer behind a 202"},
};

static bool endpoint_take_url(struct endpoint *endpoint, const struct kind_file *file,
                              struct err *err)
{
    endpoint->url = kind_file_text(file, "url");
    setting_value_boolean(kind_file_text(file, "allow_private"), &endpoint->allow_private);
    if (!endpoint->url)
        return err_set(err, ERR_CONFIG, "there is no url: say where jobs are sent");
    if (strncasecmp(endpoint->url, "https://", 8) == 0 ||
        (endpoint->allow_private && strncasecmp(endpoint->url, "http://", 7) == 0))
        return true;
    return err_set(err, ERR_CONFIG,
                   "the url is not https:// (http:// is for endpoints of your own, with "
                   "allow_private = true)");
}

/* ---- Headers ---- */

static bool header_is_ours(const char *name)
{
    static const char *const ours[] = {
        "content-length", "transfer-encoding", "connection",          "expect",
        "errand-kind",    "errand-attempt",    "errand-callback-url",
    };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(name, ours[i]) == 0)
            return true;
    return strncasecmp(name, "webhook-", 8) == 0;
}

static bool header_take(struct errand_header *header, struct arena *arena, const char *text,
                        struct err *err)
{
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "!#$%&'*+-.^_`|~";
    size_t length = strspn(text, token);
    if (length == 0 || text[length] != ':')
        return err_set(err, ERR_CONFIG, "header is '%.60s', not Name: value", text);
    header->name = arena_strndup(arena, text, length);
    header->value = text + length + 1 + strspn(text + length + 1, " \t");
    if (header_is_ours(header->name))
        return err_set(err, ERR_CONFIG, "header %.60s is errand's own to set", header->name);
    for (const char *at = header->value; *at; at++)
        if ((unsigned char)*at < ' ' && *at != '\t')
            return err_set(err, ERR_CONFIG, "header %.60s holds a control character", header->name);
    return true;
}

static bool endpoint_take_headers(struct endpoint *endpoint, struct kind_file *file,
                                  struct err *err)
{
    const char *texts[HEADERS_MAX];
    size_t count = kind_file_texts(file, "header", texts, HEADERS_MAX);
    if (count > HEADERS_MAX)
        return err_set(err, ERR_CONFIG, "there are %zu headers, at most %d are allowed", count,
                       HEADERS_MAX);
    struct errand_header *headers = arena_zalloc(&file->arena, (count + 1) * sizeof *headers);
    for (size_t i = 0; i < count; i++) {
        if (!header_take(&headers[i], &file->arena, texts[i], err))
            return false;
        endpoint->has_content_type |= strcasecmp(headers[i].name, "content-type") == 0;
    }
    endpoint->headers = headers;
    endpoint->header_count = count;
    return true;
}

/* ---- Secrets ---- */

/* The file's first two lines; "" for what it has not. Cut off in place. */
static void secrets_split(char *text, const char *secrets[SIGNATURE_SECRETS_MAX])
{
    for (size_t i = 0; i < SIGNATURE_SECRETS_MAX; i++) {
        size_t length = strcspn(text, "\r\n");
        secrets[i] = text;
        text += length;
        text += strspn(text, "\r\n");
        if (length < strlen(secrets[i]))
            ((char *)(uintptr_t)secrets[i])[length] = '\0';
    }
}

static bool secrets_read(const char *path, char text[SECRET_FILE_BYTES], struct err *err)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, SECRET_FILE_BYTES - 1) : -1;
    if (got < 0)
        err_set(err, ERR_CONFIG, "secret_file %.200s cannot be read: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got >= 0;
}

static bool endpoint_take_secrets(struct endpoint *endpoint, const struct kind_file *file,
                                  struct err *err)
{
    char text[SECRET_FILE_BYTES];
    const char *path = kind_file_text(file, "secret_file");
    const char *secrets[SIGNATURE_SECRETS_MAX] = {kind_file_text(file, "secret"),
                                                  kind_file_text(file, "secret_old")};
    if (path && (secrets[0] || secrets[1]))
        return err_set(err, ERR_CONFIG, "there are secret and secret_file: say one of the two");
    if (path && !secrets_read(path, text, err))
        return false;
    if (path)
        secrets_split(text, secrets);
    bool ok = signature_keys_init(&endpoint->keys, SIGNATURE_STANDARD, NULL, secrets,
                                  SIGNATURE_SECRETS_MAX, err);
    explicit_bzero(text, sizeof text);
    if (!ok)
        return err_prefix(err, path ? "secret_file" : "secret, or secret_old");
    if (endpoint->keys.count == 0)
        return err_set(err, ERR_CONFIG,
                       "there is no secret to sign with: set secret (whsec_ and "
                       "base64), or secret_file");
    return true;
}

/* ---- The whole ---- */

static void endpoint_set_kind(struct endpoint *endpoint, struct kind_file *file)
{
    /* Standard Webhooks has 0, and then these. */
    static const int64_t delays_ms[] = {5000,     300000,   1800000,  7200000, 18000000,
                                        36000000, 50400000, 72000000, 86400000};
    static const struct errand_retry schedule = {.size = sizeof schedule,
                                                 .policy = ERRAND_RETRY_LIST,
                                                 .delays_ms = delays_ms,
                                                 .delay_count = ATTEMPTS - 1,
                                                 .jitter_percent = 10};
    struct errand_kind *kind = &file->errand;
    endpoint->timeout_ms = kind->timeout_ms ? kind->timeout_ms : TIMEOUT_MS;
    kind->timeout_ms = endpoint->timeout_ms + SETTLE_MS < TIMEOUT_MAX_MS
                           ? endpoint->timeout_ms + SETTLE_MS
                           : TIMEOUT_MAX_MS;
    kind->max_attempts = kind->max_attempts ? kind->max_attempts : ATTEMPTS;
    kind->retries = &schedule;
    kind->retry_count = 1;
}

bool endpoint_open(struct kind_file *file, struct err *err)
{
    struct endpoint *endpoint = arena_zalloc(&file->arena, sizeof *endpoint);
    if (!endpoint_take_url(endpoint, file, err) || !endpoint_take_headers(endpoint, file, err) ||
        !endpoint_take_secrets(endpoint, file, err)) {
        signature_keys_clear(&endpoint->keys);
        return err_prefix(err, "%s", file->name);
    }
    endpoint->max_response_bytes = (size_t)kind_file_integer(file, "max_response_bytes");
    endpoint->callback_timeout_ms = kind_file_integer(file, "callback_timeout_ms");
    endpoint_set_kind(endpoint, file);
    file->endpoint = endpoint;
    return true;
}

void endpoint_close(struct kind_file *file)
{
    signature_keys_clear(&file->endpoint->keys);
}
