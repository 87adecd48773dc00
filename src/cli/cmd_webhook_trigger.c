/* errand webhook trigger */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/sample.h"
#include "cli/table.h"
#include "http/http.h"
#include "web/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command_flag cmd_webhook_trigger_flags[] = {
    {"with", "PATH=VALUE", "change the sample: data.to.0=me@example.com (may be given again)"},
    {"url", "URL", "errand's address (default: the first of http_listen)"},
    {"id", "ID", "the event's id, to send the same again; Lemon Squeezy's is the body's hash"},
    {"print", NULL, "print the signed request instead of sending it"},
    {NULL, NULL, NULL},
};

enum { TRIGGER_TIMEOUT_MS = 15000, TRIGGER_ANSWER_BYTES = 65536, TRIGGER_CHANGES_MAX = 100 };

/* A signed request, ready to go. */
struct trigger {
    const struct source *source;
    struct signature_keys keys;
    char *body;
    char id[SIGNATURE_ID_BYTES_MAX + 1];
    char at[24]; /* the signature's time */
    struct buf url, signature;
    struct errand_header headers[5];
    size_t header_count;
};

/* ---- Making it ---- */

static bool body_make(const struct cli *cli, const struct sample *sample, struct trigger *trigger,
                      struct err *err)
{
    const char *changes[TRIGGER_CHANGES_MAX];
    size_t count = 0, at = 0;
    while (count < TRIGGER_CHANGES_MAX && (changes[count] = cli_flag_next(cli, "with", &at)))
        count++;
    json_t *body = sample_make(sample, clock_wall_us(), changes, count, err);
    if (!body)
        return false;
    trigger->body = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return true;
}

static void id_make(const struct cli *cli, struct trigger *trigger)
{
    const char *given = cli_flag(cli, "id");
    if (trigger->source->scheme == SIGNATURE_HEX)
        signature_body_id(trigger->body, strlen(trigger->body), trigger->id);
    else if (given)
        snprintf(trigger->id, sizeof trigger->id, "%s", given);
    else
        snprintf(trigger->id, sizeof trigger->id, "msg_sample%016" PRIx64,
                 (uint64_t)random_below(INT64_MAX));
}

static void header_add(struct trigger *trigger, const char *name, const char *value)
{
    trigger->headers[trigger->header_count++] = (struct errand_header){name, value};
}

static bool request_sign(struct trigger *trigger, const struct sample *sample, struct err *err)
{
    int64_t now_s = clock_wall_us() / 1000000;
    snprintf(trigger->at, sizeof trigger->at, "%" PRId64, now_s);
    if (trigger->keys.count == 0)
        return err_set(err, ERR_CONFIG, "there is no secret to sign with: webhook.%s is not set",
                       trigger->source->secret);
    trigger->keys.count = 1; /* by the new one, as a sender does */
    if (!signature_sign(&trigger->keys, trigger->id, now_s, trigger->body, strlen(trigger->body),
                        &trigger->signature))
        return err_set(err, ERR_CONFIG, "'%.80s' cannot be an event's id", trigger->id);
    header_add(trigger, "Content-Type", "application/json");
    header_add(trigger, "User-Agent", "errand webhook trigger");
    if (trigger->source->scheme == SIGNATURE_HEX) {
        header_add(trigger, "X-Event-Name", sample->type);
        header_add(trigger, trigger->source->header, buf_text(&trigger->signature));
        return true;
    }
    header_add(trigger, "svix-id", trigger->id);
    header_add(trigger, "svix-timestamp", trigger->at);
    header_add(trigger, "svix-signature", buf_text(&trigger->signature));
    return true;
}

/* The first address of http_listen that is one of TCP; *:8080 is reached at the loopback. */
static bool url_of_settings(const struct cli *cli, struct buf *url, struct err *err)
{
    const char *listen = settings_text(cli->settings, "errand", "http_listen"), *at = listen;
    while (at && *at == '/' && (at = strchr(at, ',')))
        at += 1 + strspn(at + 1, " ");
    if (!at || !*at)
        return err_set(err, ERR_CONFIG,
                       listen ? "http_listen names no TCP address: add --url URL"
                              : "http_listen is not set: add --url URL");
    size_t length = strcspn(at, ", ");
    buf_add_text(url, "http://");
    if (*at == '*') {
        buf_add_text(url, "127.0.0.1");
        buf_add(url, at + 1, length - 1);
    } else {
        buf_add(url, at, length);
    }
    return true;
}

/* An address without a path is errand's. */
static bool url_make(const struct cli *cli, struct trigger *trigger, struct err *err)
{
    const char *given = cli_flag(cli, "url");
    const char *host = given ? strstr(given, "://") : NULL;
    if (given && !host)
        return err_set(err, ERR_CONFIG, "'%.80s' is no URL: http://127.0.0.1:8080", given);
    if (given)
        buf_add_text(&trigger->url, given);
    else if (!url_of_settings(cli, &trigger->url, err))
        return false;
    const char *path = given ? strchr(host + 3, '/') : NULL;
    if (!path || !path[1])
        buf_printf(&trigger->url, "%swebhooks/%s", path ? "" : "/", trigger->source->name);
    return true;
}

static bool trigger_make(const struct cli *cli, const struct sample *sample,
                         struct trigger *trigger, struct err *err)
{
    trigger->source = source_find(sample->source);
    return source_keys(trigger->source, cli->settings, &trigger->keys, err) &&
           body_make(cli, sample, trigger, err) &&
           (id_make(cli, trigger), request_sign(trigger, sample, err)) &&
           (cli_flag(cli, "print") || url_make(cli, trigger, err));
}

static void trigger_clear(struct trigger *trigger)
{
    signature_keys_clear(&trigger->keys);
    free(trigger->body);
    buf_clear(&trigger->url);
    buf_clear(&trigger->signature);
}

/* ---- Sending it ---- */

static int request_print(const struct trigger *trigger)
{
    printf("POST /webhooks/%s HTTP/1.1\r\n", trigger->source->name);
    for (size_t i = 0; i < trigger->header_count; i++)
        printf("%s: %s\r\n", trigger->headers[i].name, trigger->headers[i].value);
    printf("\r\n%s", trigger->body);
    return FAILURE_OK;
}

static void answer_print(const struct cli *cli, const struct trigger *trigger, const char *type,
                         const struct http_answer *answer)
{
    if (!cli->json) {
        printf("event   %s:%s\ntype    %s\nurl     %s\nstatus  %d\n", trigger->source->name,
               trigger->id, type, buf_text(&trigger->url), answer->status);
        return;
    }
    struct buf event, url;
    buf_init(&event, 0);
    buf_init(&url, 0);
    str_escape(&event, trigger->id, strlen(trigger->id));
    str_escape(&url, buf_text(&trigger->url), trigger->url.length);
    printf("{\"event\": \"%s:%s\", \"type\": \"%s\", \"url\": \"%s\", \"status\": %d}\n",
           trigger->source->name, buf_text(&event), type, buf_text(&url), answer->status);
    buf_clear(&event);
    buf_clear(&url);
}

static int answer_judge(const struct cli *cli, const struct trigger *trigger, const char *type,
                        const struct http_answer *answer)
{
    char message[400];
    const char *hint = "";
    if (answer->result != ERRAND_HTTP_OK) {
        snprintf(message, sizeof message, "%.150s: %.200s", buf_text(&trigger->url), answer->error);
        return failure_tell(cli, FAILURE_FAILED, message,
                            "Is errand running there? `errand run --http-listen 127.0.0.1:8080`");
    }
    answer_print(cli, trigger, type, answer);
    if (answer->status >= 200 && answer->status < 300)
        return FAILURE_OK;
    if (answer->status == 401)
        hint = "It has another secret than this command: compare `errand config` in both places.";
    else if (answer->status == 404)
        hint = "Something else listens there, or it is an errand that does not know the source.";
    else if (answer->status == 503)
        hint = "It could not store the event: its log says why.";
    snprintf(message, sizeof message, "it answered %d", answer->status);
    return failure_tell(cli, FAILURE_FAILED, message, hint);
}

static void on_answer(struct http_call *call, void *owner)
{
    (void)call;
    loop_stop(owner);
}

static int request_send(const struct cli *cli, const struct trigger *trigger, const char *type)
{
    struct loop loop;
    loop_init(&loop);
    struct http *http = http_new(&loop);
    struct errand_request request = {.size = sizeof request,
                                     .method = "POST",
                                     .url = buf_text(&trigger->url),
                                     .headers = trigger->headers,
                                     .header_count = trigger->header_count,
                                     .body = trigger->body,
                                     .body_bytes = strlen(trigger->body),
                                     .timeout_ms = TRIGGER_TIMEOUT_MS,
                                     .max_response_bytes = TRIGGER_ANSWER_BYTES};
    struct http_call *call = http_start(http, &request, on_answer, &loop);
    loop_run(&loop);
    int status = answer_judge(cli, trigger, type, http_call_answer(call));
    http_call_free(call);
    http_free(http);
    loop_clear(&loop);
    return status;
}

/* ---- The command ---- */

static int types_print(const struct cli *cli)
{
    static const char *const headings[] = {"type", "source"};
    static const struct table_shape shape = {headings, 2, 3, false};
    struct table table;
    table_init(&table, &shape);
    for (size_t i = 0; i < sample_count; i++) {
        if (cli->json)
            printf("%s{\"type\": \"%s\", \"source\": \"%s\"}", i ? ",\n " : "[",
                   sample_table[i].type, sample_table[i].source);
        else
            table_add(&table, (const char *const[]){sample_table[i].type, sample_table[i].source});
    }
    if (cli->json)
        puts("]");
    else
        table_print(&table);
    table_clear(&table);
    return FAILURE_OK;
}

static int type_unknown(const struct cli *cli, const char *type)
{
    const char **names = mem_alloc(sample_count * sizeof *names);
    char hint[160];
    for (size_t i = 0; i < sample_count; i++)
        names[i] = sample_table[i].type;
    const char *near = str_nearest(type, names, sample_count);
    snprintf(hint, sizeof hint, "%s%s%s`errand webhook trigger` lists the types.",
             near ? "Is it " : "", near ? near : "", near ? "? " : "");
    free(names);
    return failure_usage(cli, hint, "there is no sample of '%.80s'", type);
}

int cmd_webhook_trigger(struct cli *cli)
{
    struct trigger *trigger;
    struct err err = {0};
    int status;
    if (cli->arg_count == 0)
        return types_print(cli);
    const struct sample *sample = sample_find(cli->args[0]);
    if (!sample)
        return type_unknown(cli, cli->args[0]);
    trigger = mem_zalloc(sizeof *trigger);
    if (!trigger_make(cli, sample, trigger, &err))
        status = failure_usage(cli, "`errand help webhook trigger` tells more.", "%s", err.text);
    else if (cli_flag(cli, "print"))
        status = request_print(trigger);
    else
        status = request_send(cli, trigger, sample->type);
    trigger_clear(trigger);
    free(trigger);
    return status;
}
