#include "web/web.h"

#include "base/log.h"
#include "base/mem.h"
#include "httpd/httpd.h"
#include "loop/descriptor.h"
#include "web/callbacks.h"
#include "web/metrics.h"
#include "web/receive.h"

#include <stdlib.h>
#include <string.h>

enum { WEB_MAX_BODY = 1048576 };

struct web {
    struct httpd *server; /* NULL: there is nothing to listen at */
    struct receive *receive;
    struct metrics *metrics; /* NULL: not wanted */
    struct callbacks callbacks;
    struct runner *runner;
};

static void web_say(struct httpd_request *request, int status, const char *sentence)
{
    httpd_answer(request, &(struct httpd_answer){
                              .status = status, .body = sentence, .length = strlen(sentence)});
}

/* ---- Routes ---- */

static void web_livez(struct web *web, const char *rest, struct httpd_request *request)
{
    (void)web, (void)rest;
    web_say(request, 200, "ok\n");
}

static void web_readyz(struct web *web, const char *rest, struct httpd_request *request)
{
    (void)rest;
    const char *reason = "";
    bool ready = runner_is_ready(web->runner, &reason);
    web_say(request, ready ? 200 : 503, ready ? "ok\n" : reason);
}

static void web_webhook(struct web *web, const char *rest, struct httpd_request *request)
{
    receive_handle(web->receive, rest, request);
}

static bool web_refuses_webhook(struct web *web, const char *rest,
                                const struct httpd_request *request, struct httpd_refusal *refusal)
{
    return receive_refuses(web->receive, rest, request, refusal);
}

static void web_callback(struct web *web, const char *rest, struct httpd_request *request)
{
    callbacks_handle(&web->callbacks, rest, request);
}

static void web_nothing(struct httpd_request *request)
{
    web_say(request, 404, "there is nothing at this path\n");
}

static void web_metrics(struct web *web, const char *rest, struct httpd_request *request)
{
    (void)rest;
    if (web->metrics)
        metrics_handle(web->metrics, request);
    else
        web_nothing(request);
}

struct web_route {
    const char *path;    /* ends in a slash: whatever stands behind it, too */
    const char *methods; /* as Allow has them */
    /* rest: what stands behind path. */
    void (*handle)(struct web *web, const char *rest, struct httpd_request *request);
    bool (*refuses)(struct web *web, const char *rest, const struct httpd_request *request,
                    struct httpd_refusal *refusal); /* NULL: nothing at sight */
};

static const struct web_route web_routes[] = {
    {"/livez", "GET, HEAD", web_livez, NULL},
    {"/readyz", "GET, HEAD", web_readyz, NULL},
    {"/metrics", "GET, HEAD", web_metrics, NULL},
    {"/webhooks/", "POST", web_webhook, web_refuses_webhook},
    {"/callbacks/", "POST", web_callback, NULL},
};

static bool web_matches(const struct web_route *route, const char *path)
{
    size_t length = strlen(route->path);
    return strncmp(route->path, path, length) == 0 &&
           (!path[length] || route->path[length - 1] == '/');
}

static bool web_allows(const struct web_route *route, const char *method)
{
    size_t length = strlen(method);
    for (const char *at = route->methods; *at; at += strspn(at, ", ")) {
        size_t bytes = strcspn(at, ", ");
        if (bytes == length && memcmp(at, method, length) == 0)
            return true;
        at += bytes;
    }
    return false;
}

static const struct web_route *web_find(const struct httpd_request *request)
{
    for (size_t i = 0; i < sizeof web_routes / sizeof *web_routes; i++)
        if (web_matches(&web_routes[i], request->path))
            return &web_routes[i];
    return NULL;
}

static bool web_refuses(const struct httpd_request *request, struct httpd_refusal *refusal,
                        void *owner)
{
    const struct web_route *route = web_find(request);
    return route && route->refuses && web_allows(route, request->method) &&
           route->refuses(owner, request->path + strlen(route->path), request, refusal);
}

static void web_handle(struct httpd_request *request, void *owner)
{
    static const char wrong[] = "this method is not for this path\n";
    const struct web_route *route = web_find(request);
    if (!route)
        web_nothing(request);
    else if (web_allows(route, request->method))
        route->handle(owner, request->path + strlen(route->path), request);
    else
        httpd_answer(request, &(struct httpd_answer){.status = 405,
                                                     .allow = route->methods,
                                                     .body = wrong,
                                                     .length = sizeof wrong - 1});
}

/* ---- On a runner ---- */

static void web_on_quiet(void *owner)
{
    struct web *web = owner;
    runner_front_quiet(web->runner);
}

static bool web_read_proxies(struct httpd_options *options, const struct settings *settings,
                             struct err *err)
{
    const char *header = settings_text(settings, "errand", "http_proxy_header");
    if (!header || !forwarded_header_parse(header, &options->forwarded))
        return err_set(err, ERR_CONFIG,
                       "errand.http_proxy_header is '%.80s'; allowed: X-Forwarded-For or Forwarded",
                       header ? header : "");
    return origin_list_parse(&options->proxies,
                             settings_text(settings, "errand", "http_trusted_proxies"), err) ||
           err_prefix(err, "errand.http_trusted_proxies");
}

/* Each connection is an open file. */
static void web_check_files(const struct web *web, size_t connections)
{
    enum { OTHERS = 256 }; /* what else a runner has open, but for what its jobs open */
    long long limit = descriptor_raise_limit();
    if (web->server && limit < (long long)connections + OTHERS)
        log_event(LOG_WARN, "fewer open files allowed than http_connections may need", "limit",
                  log_int(limit), "http_connections", log_int((long long)connections), "needed",
                  log_int((long long)connections + OTHERS), "hint",
                  "raise LimitNOFILE= of the service (ulimit -Hn), or lower http_connections",
                  NULL);
}

static void web_start_metrics(struct web *web, struct loop *loop, const struct settings *settings)
{
    const struct families_source source = {.runner = web->runner,
                                           .server = web->server,
                                           .receive = web->receive,
                                           .callbacks = &web->callbacks};
    if (settings_boolean(settings, "errand", "http_metrics"))
        web->metrics = metrics_new(loop, settings, &source);
}

static bool web_start(struct runner *runner, struct loop *loop, const struct settings *settings,
                      void *owner, struct err *err)
{
    struct web *web = owner;
    struct httpd_options options = {
        .listen = settings_text(settings, "errand", "http_listen"),
        .deadline_ms = settings_integer(settings, "errand", "http_deadline_ms"),
        .connections = (size_t)settings_integer(settings, "errand", "http_connections"),
        .connections_per_address =
            (size_t)settings_integer(settings, "errand", "http_connections_per_address"),
        .max_body = WEB_MAX_BODY,
        .refuses = web_refuses,
        .handle = web_handle,
        .on_quiet = web_on_quiet,
        .owner = web,
    };
    web->runner = runner;
    if (!web_read_proxies(&options, settings, err) || !httpd_new(&web->server, loop, &options, err))
        return false;
    web_check_files(web, options.connections);
    if (!web->server)
        return true;
    callbacks_init(&web->callbacks, loop, settings, runner_registry(runner));
    if (!receive_new(&web->receive, loop, settings, web_on_quiet, web, err))
        return false;
    web_start_metrics(web, loop, settings);
    return true;
}

static void web_stop(void *owner)
{
    struct web *web = owner;
    if (web->receive)
        receive_stop(web->receive);
    if (web->server)
        httpd_stop(web->server);
}

static bool web_is_quiet(const void *owner)
{
    const struct web *web = owner;
    return (!web->server || httpd_is_quiet(web->server)) &&
           (!web->receive || receive_is_quiet(web->receive));
}

static void web_clear(void *owner)
{
    struct web *web = owner;
    metrics_free(web->metrics);
    receive_free(web->receive);
    if (web->server) {
        callbacks_clear(&web->callbacks);
        httpd_free(web->server);
    }
    web->metrics = NULL;
    web->receive = NULL;
    web->server = NULL;
}

struct runner_front web_front(struct web *web)
{
    return (struct runner_front){.start = web_start,
                                 .stop = web_stop,
                                 .is_quiet = web_is_quiet,
                                 .clear = web_clear,
                                 .owner = web};
}

struct web *web_new(void)
{
    return mem_zalloc(sizeof(struct web));
}

void web_free(struct web *web)
{
    free(web);
}
