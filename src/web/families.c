#include "web/families.h"

#include "queue/counts.h"
#include "web/exposition.h"
#include "web/process.h"

/* One label or several, for a call. */
#define LABELS(...) (&(struct exposition_labels){{__VA_ARGS__}})

static void gauge(struct exposition *to, const char *name, const char *help, double value)
{
    exposition_family(to, name, "gauge", help);
    exposition_sample(to, NULL, value);
}

static void counter(struct exposition *to, const char *name, const char *help, double value)
{
    exposition_family(to, name, "counter", help);
    exposition_sample(to, NULL, value);
}

/* ---- The process ---- */

static void process_write(struct exposition *to, int64_t started_us)
{
    struct process_usage usage;
    process_usage_read(&usage);
    exposition_family(to, "errand_build_info", "gauge", "1; which errand this is.");
    exposition_sample(to, LABELS({"version", ERRAND_VERSION}), 1);
    gauge(to, "process_start_time_seconds", "When it began, since 1970.", (double)started_us / 1e6);
    if (usage.cpu_s >= 0)
        counter(to, "process_cpu_seconds_total", "User and system time.", usage.cpu_s);
    if (usage.resident_bytes >= 0) {
        gauge(to, "process_resident_memory_bytes", "Resident memory.",
              (double)usage.resident_bytes);
        gauge(to, "process_virtual_memory_bytes", "Virtual memory.", (double)usage.virtual_bytes);
    }
    if (usage.descriptors >= 0)
        gauge(to, "process_open_fds", "Open descriptors.", (double)usage.descriptors);
    if (usage.descriptors_max >= 0)
        gauge(to, "process_max_fds", "Descriptors that may be open.",
              (double)usage.descriptors_max);
}

/* ---- The runner ---- */

static void runner_write(struct exposition *to, const struct runner *runner)
{
    struct counts_runner counts;
    counts_runner(runner, &counts);
    gauge(to, "errand_runner_ready", "1: as /readyz says 200.", counts.ready);
    gauge(to, "errand_lease_valid", "1: this runner's lease holds, so jobs may start.",
          counts.lease_valid);
    gauge(to, "errand_slots", "Jobs that may run here at once.", (double)counts.slots);
    gauge(to, "errand_slots_used", "Jobs that run here, or are about to.",
          (double)counts.slots_used);
}

static void running_write(const struct counts_queue *counts, void *to)
{
    exposition_sample(to, LABELS({"queue", counts->name}), (double)counts->running);
}

static void lanes_write(const struct counts_queue *counts, void *to)
{
    exposition_sample(to, LABELS({"queue", counts->name}), (double)counts->lanes);
}

static void waits_write(const struct counts_queue *counts, void *to)
{
    if (counts->waits)
        exposition_sample(to, LABELS({"queue", counts->name}, {"reason", counts->waits}), 1);
}

static void queues_write(struct exposition *to, const struct runner *runner)
{
    exposition_family(to, "errand_jobs_running", "gauge", "Jobs that run here.");
    counts_queues(runner, running_write, to);
    exposition_family(to, "errand_lanes_owned", "gauge",
                      "Lanes of the queue that are this "
                      "runner's.");
    counts_queues(runner, lanes_write, to);
    exposition_family(to, "errand_queue_waits", "gauge",
                      "1: due jobs of the queue wait here, and for what.");
    counts_queues(runner, waits_write, to);
}

/* ---- What ended ---- */

/* Of the histograms' buckets those from 1 ms to 36 minutes. */
enum { BUCKET_FIRST = 3, BUCKET_LAST = 24, BUCKETS = BUCKET_LAST - BUCKET_FIRST + 1 };

static void ended_write(const struct counts_kind *counts, void *to)
{
    for (int i = 0; i < COUNTS_OUTCOMES; i++)
        exposition_sample(to,
                          LABELS({"queue", counts->queue}, {"kind", counts->kind},
                                 {"outcome", counts_outcome_name((enum counts_outcome)i)}),
                          (double)counts->ended[i]);
}

struct times_writing {
    struct exposition *to;
    struct exposition_bounds bounds;
};

static void times_write(struct times_writing *writing, const struct counts_kind *counts,
                        const uint64_t *buckets, int64_t sum_us)
{
    uint64_t within[BUCKETS] = {0};
    for (int i = 0; i <= BUCKET_LAST; i++)
        within[i < BUCKET_FIRST ? 0 : i - BUCKET_FIRST] += buckets[i];
    exposition_histogram(writing->to, LABELS({"queue", counts->queue}, {"kind", counts->kind}),
                         &writing->bounds, within, counts->timed, (double)sum_us / 1e6);
}

static void wait_write(const struct counts_kind *counts, void *context)
{
    times_write(context, counts, counts->waits, counts->wait_us);
}

static void run_write(const struct counts_kind *counts, void *context)
{
    times_write(context, counts, counts->runs, counts->run_us);
}

static void kinds_write(struct exposition *to, const struct runner *runner)
{
    struct times_writing writing = {.to = to};
    for (int i = BUCKET_FIRST; i <= BUCKET_LAST; i++)
        exposition_bounds_add(&writing.bounds, (double)counts_bound_us(i) / 1e6);
    exposition_family(to, "errand_jobs_ended_total", "counter",
                      "How attempts ended here; retry: it failed, and the job is tried again.");
    counts_kinds(runner, ended_write, to);
    exposition_family(to, "errand_job_wait_seconds", "histogram",
                      "From run_at to the attempt's start.");
    counts_kinds(runner, wait_write, &writing);
    exposition_family(to, "errand_job_run_seconds", "histogram",
                      "From the attempt's start to its end.");
    counts_kinds(runner, run_write, &writing);
}

/* ---- The database ---- */

struct pool_family {
    const char *name, *type, *help;
    double (*value)(const struct db_pool_counts *counts);
};

static double pool_open(const struct db_pool_counts *counts)
{
    return (double)counts->open;
}

static double pool_most(const struct db_pool_counts *counts)
{
    return (double)counts->most;
}

static double pool_waiting(const struct db_pool_counts *counts)
{
    return (double)counts->waiting;
}

static double pool_opened(const struct db_pool_counts *counts)
{
    return (double)counts->opened;
}

static double pool_failed(const struct db_pool_counts *counts)
{
    return (double)counts->failed;
}

static double pool_statements(const struct db_pool_counts *counts)
{
    return (double)counts->statements;
}

static const struct pool_family pool_families[] = {
    {"errand_database_connections", "gauge", "Connections that stand.", pool_open},
    {"errand_database_connections_max", "gauge", "Connections that there may be.", pool_most},
    {"errand_database_waiting", "gauge", "What waits for a connection.", pool_waiting},
    {"errand_database_connections_opened_total", "counter", "Connections that came to stand.",
     pool_opened},
    {"errand_database_connection_failures_total", "counter",
     "Connections that broke, or did not come to stand.", pool_failed},
    {"errand_database_statements_total", "counter", "Statements sent.", pool_statements},
};

struct pool_writing {
    struct exposition *to;
    const struct pool_family *family;
};

static void pool_write(const struct db_pool_counts *counts, void *context)
{
    const struct pool_writing *writing = context;
    exposition_sample(writing->to, LABELS({"pool", counts->name}), writing->family->value(counts));
}

static void pools_write(struct exposition *to, const struct families_source *source)
{
    const struct db_pool *const own[] = {receive_pool(source->receive), &source->callbacks->pool,
                                         &source->depths->pool};
    for (size_t i = 0; i < sizeof pool_families / sizeof *pool_families; i++) {
        const struct pool_family *family = &pool_families[i];
        struct pool_writing writing = {to, family};
        exposition_family(to, family->name, family->type, family->help);
        counts_pools(source->runner, pool_write, &writing);
        for (size_t at = 0; at < sizeof own / sizeof *own; at++) {
            struct db_pool_counts counts;
            db_pool_counts(own[at], &counts);
            pool_write(&counts, &writing);
        }
    }
}

/* ---- What stands in the queues ---- */

static void depth_write(struct exposition *to, const struct depth *depth)
{
    for (int state = 0; state < DEPTH_STATES; state++)
        exposition_sample(to, LABELS({"queue", depth->queue}, {"state", depth_state_name(state)}),
                          (double)depth->jobs[state]);
}

static void partly_write(struct exposition *to, const struct depth *depth)
{
    exposition_sample(to, LABELS({"queue", depth->queue}), depth->more);
}

static void oldest_write(struct exposition *to, const struct depth *depth)
{
    exposition_sample(to, LABELS({"queue", depth->queue}), (double)depth->oldest_due_us / 1e6);
}

static void paused_write(struct exposition *to, const struct depth *depth)
{
    exposition_sample(to, LABELS({"queue", depth->queue}), depth->paused);
}

struct depth_family {
    const char *name, *help;
    void (*write)(struct exposition *to, const struct depth *depth);
};

static const struct depth_family depth_families[] = {
    {"errand_queue_jobs", "Jobs that have not started, wherever they will run.", depth_write},
    {"errand_queue_counted_partly", "1: there are more than errand_queue_jobs says.", partly_write},
    {"errand_queue_oldest_due_seconds", "How long the oldest due job has waited; 0: there is none.",
     oldest_write},
    {"errand_queue_paused", "1: the queue is paused.", paused_write},
};

static void depths_write(struct exposition *to, const struct depths *depths)
{
    gauge(to, "errand_database_up", "1: the database told what stands in the queues.",
          depths->known);
    for (size_t i = 0; depths->known && i < sizeof depth_families / sizeof *depth_families; i++) {
        const struct depth_family *family = &depth_families[i];
        exposition_family(to, family->name, "gauge", family->help);
        for (size_t at = 0; at < depths->count; at++)
            family->write(to, &depths->queues[at]);
    }
}

/* ---- HTTP and webhooks ---- */

static void http_write(struct exposition *to, const struct httpd *server)
{
    static const char *const classes[HTTPD_CLASSES] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct httpd_counts counts;
    httpd_counts(server, &counts);
    gauge(to, "errand_http_connections", "Connections now.", (double)counts.connections);
    counter(to, "errand_http_connections_total", "Connections accepted.", (double)counts.accepted);
    counter(to, "errand_http_turned_away_total",
            "Connections closed or answered 503 because there were too many.",
            (double)counts.turned_away);
    counter(to, "errand_http_heads_refused_total",
            "Requests refused for their head: malformed, too large, too slow.",
            (double)counts.heads_refused);
    exposition_family(to, "errand_http_requests_total", "counter",
                      "Requests answered, by class of status.");
    for (size_t i = 1; i < HTTPD_CLASSES; i++)
        if (i != 1 && i != 3)
            exposition_sample(to, LABELS({"code", classes[i]}), (double)counts.answers[i]);
}

static void accepted_write(const struct receive_counts *counts, void *to)
{
    exposition_sample(to, LABELS({"source", counts->source}, {"where", "database"}),
                      (double)counts->stored);
    exposition_sample(to, LABELS({"source", counts->source}, {"where", "spool"}),
                      (double)counts->spooled);
}

static void seen_write(const struct receive_counts *counts, void *to)
{
    exposition_sample(to, LABELS({"source", counts->source}, {"seen", "first"}),
                      (double)counts->first);
    exposition_sample(to, LABELS({"source", counts->source}, {"seen", "again"}),
                      (double)counts->again);
}

static void refused_write(const struct receive_counts *counts, void *to)
{
    for (int i = 0; i < SIGNED_CLASSES; i++)
        exposition_sample(
            to,
            LABELS({"source", counts->source}, {"reason", signed_class_name((enum signed_class)i)}),
            (double)counts->refused[i]);
    exposition_sample(to, LABELS({"source", counts->source}, {"reason", "unavailable"}),
                      (double)counts->unavailable);
}

static void webhooks_write(struct exposition *to, const struct receive *receive)
{
    struct spool_counts spool;
    exposition_family(to, "errand_webhooks_accepted_total", "counter",
                      "Webhooks answered 200, and where they were put.");
    receive_counts(receive, accepted_write, to);
    exposition_family(to, "errand_webhooks_stored_total", "counter",
                      "Webhooks that went to the database, for the first time or known there.");
    receive_counts(receive, seen_write, to);
    exposition_family(to, "errand_webhooks_refused_total", "counter",
                      "Webhooks not answered 200; unavailable: neither database nor spool took "
                      "it.");
    receive_counts(receive, refused_write, to);
    if (!receive_spool_counts(receive, &spool))
        return;
    gauge(to, "errand_spool_bytes", "What waits on the disk for the database.",
          (double)spool.bytes);
    gauge(to, "errand_spool_bytes_max", "What may wait there.", (double)spool.max_bytes);
    gauge(to, "errand_spool_files", "In so many files.", (double)spool.files);
}

void families_write(const struct families_source *source, struct buf *buf)
{
    struct exposition to = {.buf = buf};
    process_write(&to, source->started_us);
    runner_write(&to, source->runner);
    queues_write(&to, source->runner);
    kinds_write(&to, source->runner);
    pools_write(&to, source);
    depths_write(&to, source->depths);
    http_write(&to, source->server);
    webhooks_write(&to, source->receive);
}
