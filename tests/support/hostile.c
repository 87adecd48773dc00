/* A plug-in of somebody who means no good, or cannot do better (tests/e2e/test_isolation.py): one
 * kind, hostile.run {"do": NAME}; and hostile.calm, which does its work. */
#include <errand/errand.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void do_null(struct errand_job *job)
{
    volatile int *nowhere = NULL;
    errand_log(job, ERRAND_INFO, "now");
    *nowhere = 1;
}

static void do_loop(struct errand_job *job)
{
    (void)job;
    for (volatile int turns = 0;; turns++)
        continue;
}

static void do_leak(struct errand_job *job)
{
    for (;;)
        memset(errand_alloc(job, 1 << 20), 1, 1 << 20);
}

/* What it added before goes with it. */
static void do_effect(struct errand_job *job)
{
    errand_effect(job, 1, 1, (const char *const[]){errand_int_text(job, errand_id(job))});
    errand_result_text(job, "1", NULL);
    abort();
}

static void do_exit(struct errand_job *job)
{
    (void)job;
    exit(0);
}

static void do_abort(struct errand_job *job)
{
    (void)job;
    fputs("this cannot be\n", stderr);
    abort();
}

static void do_print(struct errand_job *job)
{
    static char page[1 << 20];
    memset(page, 'x', sizeof page - 1);
    page[sizeof page - 1] = '\n';
    for (int i = 0; i < 1024; i++)
        if (fwrite(page, sizeof page, 1, stdout) != 1)
            errand_fail(job, "stdout is closed");
    abort();
}

static void do_fork(struct errand_job *job)
{
    (void)job;
    signal(SIGTERM, SIG_IGN);
    if (fork() == 0)
        for (;;)
            pause();
    abort();
}

static void do_leave(struct errand_job *job)
{
    (void)job;
    signal(SIGTERM, SIG_IGN);
    if (fork() == 0 && setsid() >= 0)
        for (;;)
            pause();
    abort();
}

static void do_close(struct errand_job *job)
{
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    errand_sleep(job, 60000);
}

static void do_close_and_stay(struct errand_job *job)
{
    (void)job;
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    for (;;)
        pause();
}

static void send_all(const void *data, size_t size, int times)
{
    while (times-- && write(3, data, size) > 0)
        continue;
}

static void do_garbage(struct errand_job *job)
{
    static char noise[65536];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)rand();
    send_all(noise, sizeof noise, 1000);
    errand_done(job);
}

/* Frames that are as long as they say, and hold nothing that makes sense. */
static void do_nonsense(struct errand_job *job)
{
    const struct {
        uint32_t length;
        int64_t what, number, rest[4];
    } __attribute__((packed)) frame = {.length = 48, .what = 3, .number = 1000, .rest = {-1, -2}};
    send_all(&frame, sizeof frame, 1);
    errand_sleep(job, 60000);
}

static void do_huge(struct errand_job *job)
{
    static char page[1 << 20];
    const uint32_t length = 0xfffffff0;
    send_all(&length, sizeof length, 1);
    send_all(page, sizeof page, 4096);
    errand_done(job);
}

/* As large as a frame may be, again and again: the runner keeps none. */
static void do_large(struct errand_job *job)
{
    char *text = errand_alloc(job, (60 << 20) + 1);
    memset(text, 'x', 60 << 20);
    for (int i = 0; i < 3; i++)
        errand_progress_text(job, text, NULL);
    abort();
}

static void do_hoard(struct errand_job *job)
{
    char *text = errand_alloc(job, (1 << 20) + 1);
    const char *const params[] = {text};
    memset(text, 'x', 1 << 20);
    for (;;)
        errand_effect(job, 0, 1, params);
}

static void do_chatter(struct errand_job *job)
{
    for (int i = 0; i < 200000; i++)
        errand_is_cancelled(job) ? (void)0 : errand_log(job, ERRAND_DEBUG, "%d", i);
    abort();
}

static const struct {
    const char *name;
    void (*run)(struct errand_job *job);
} deeds[] = {
    {"null", do_null},
    {"loop", do_loop},
    {"leak", do_leak},
    {"effect", do_effect},
    {"exit", do_exit},
    {"abort", do_abort},
    {"print", do_print},
    {"fork", do_fork},
    {"leave", do_leave},
    {"close", do_close},
    {"close_and_stay", do_close_and_stay},
    {"garbage", do_garbage},
    {"nonsense", do_nonsense},
    {"huge", do_huge},
    {"large", do_large},
    {"hoard", do_hoard},
    {"chatter", do_chatter},
};

/* Its second attempt is good, so that a test sees what the first one cost. */
static void hostile_run(struct errand_job *job)
{
    const char *name = json_string_value(json_object_get(errand_args(job), "do"));
    for (size_t i = 0; errand_attempt(job) == 1 && i < sizeof deeds / sizeof *deeds; i++)
        if (strcmp(deeds[i].name, name) == 0)
            deeds[i].run(job);
    errand_done(job);
}

static void hostile_calm(struct errand_job *job)
{
    const struct errand_rows *rows;
    const char *error;
    if (errand_query(job, 0, 1, (const char *const[]){"1"}, &rows, &error))
        errand_done(job);
    else
        errand_fail(job, "%s", error);
}

static const int64_t soon_ms[] = {0};
static const struct errand_retry retries[] = {
    {.size = sizeof(struct errand_retry),
     .policy = ERRAND_RETRY_FIXED,
     .delays_ms = soon_ms,
     .delay_count = 1},
};

static const struct errand_kind kinds[] = {
    {.size = sizeof(struct errand_kind),
     .name = "hostile.run",
     .timeout_ms = 4000, /* machines that run tests are slow */
     .run = hostile_run,
     .retries = retries,
     .retry_count = 1},
    {.size = sizeof(struct errand_kind), .name = "hostile.calm", .run = hostile_calm},
};

static const struct errand_statement statements[] = {
    {"echo", "select $1::text"},
    {"notify", "insert into public.hostile_effect values ($1::bigint)"}};

extern const struct errand_module hostile_module;
ERRAND_EXPORT const struct errand_module hostile_module = {
    .abi = ERRAND_ABI,
    .size = sizeof(struct errand_module),
    .name = "hostile",
    .version = "1",
    .kinds = kinds,
    .kind_count = 2,
    .statements = statements,
    .statement_count = 2,
};
