#include "web/metrics.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/* A request that waits for the database. */
struct metrics_asked {
    struct httpd_request *request;
    struct metrics_asked *next;
};

struct metrics {
    struct families_source source;
    struct depths depths;
    struct metrics_asked *first;
};

static void metrics_answer(const struct metrics *metrics, struct httpd_request *request)
{
    struct buf text;
    buf_init(&text, 0);
    families_write(&metrics->source, &text);
    httpd_answer(request, &(struct httpd_answer){.status = 200,
                                                 .type = "text/plain; version=0.0.4; charset=utf-8",
                                                 .body = buf_text(&text),
                                                 .length = text.length});
    buf_clear(&text);
}

static void metrics_on_known(void *owner)
{
    struct metrics *metrics = owner;
    while (metrics->first) {
        struct metrics_asked *asked = metrics->first;
        metrics->first = asked->next;
        metrics_answer(metrics, asked->request);
        free(asked);
    }
}

void metrics_handle(struct metrics *metrics, struct httpd_request *request)
{
    if (depths_ask(&metrics->depths)) {
        metrics_answer(metrics, request);
        return;
    }
    struct metrics_asked *asked = mem_zalloc(sizeof *asked);
    *asked = (struct metrics_asked){.request = request, .next = metrics->first};
    metrics->first = asked;
}

struct metrics *metrics_new(struct loop *loop, const struct settings *settings,
                            const struct families_source *source)
{
    struct metrics *metrics = mem_zalloc(sizeof *metrics);
    metrics->source = *source;
    metrics->source.depths = &metrics->depths;
    metrics->source.started_us = clock_wall_us();
    depths_init(&metrics->depths, loop, settings, metrics_on_known, metrics);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    depths_clear(&metrics->depths);
    free(metrics);
}
