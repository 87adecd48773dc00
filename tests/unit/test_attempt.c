/* attempt: a handler that is to end does not come back from where it waits, what it holds is given
 * back, and each of its jobs has the outcome that it should. */
#include "module/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONG_MS = 60000, GUARD_MS = 20000, JOBS_MAX = 4 };

static struct loop loop;
static struct attempt_host host;
static struct db_pool pool;
static struct clock_offset clock_offset;
static struct loop_timer guard, actor;
static struct attempt *attempt;
static bool finished;

static void on_finished(struct attempt *ended)
{
    assert_ptr_equal(ended, attempt);
    assert_false(finished);
    finished = true;
    loop_stop(&loop);
}

static void on_late(void *owner)
{
    (void)owner;
    fail_msg("the attempt does not end");
}

static bool never_granted(void *queue, struct attempt *asking)
{
    (void)queue, (void)asking;
    return false;
}

static void rate_wait_cancel(void *queue, struct attempt *asking)
{
    (void)queue, (void)asking;
}

/* What the handlers leave behind. */
static struct {
    char trace[64]; /* a letter for each thing that happened */
    char line[200]; /* the last error in a job's log */
    int port;
    int calls;
} seen;

static void keep_line(struct errand_job *job, int level, const char *text)
{
    (void)job;
    if (level == ERRAND_ERROR)
        snprintf(seen.line, sizeof seen.line, "%s", text);
}

static const struct attempt_queue_calls queue_calls = {
    .rate_wait = never_granted, .rate_wait_cancel = rate_wait_cancel, .log = keep_line};

static void trace(const char *letter)
{
    strncat(seen.trace, letter, sizeof seen.trace - strlen(seen.trace) - 1);
}

static void on_act(void *owner)
{
    void (*act)(void) = NULL;
    memcpy(&act, owner, sizeof act);
    act();
}

static int set_up(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    finished = false;
    call_mistakes_are_fatal = false;
    loop_init(&loop);
    const struct db_pool_options nowhere = {
        .name = "test", .conninfo = "host=/nowhere dbname=x user=x", .size = 1};
    db_pool_init(&pool, &loop, &nowhere);
    host = (struct attempt_host){.loop = &loop,
                                 .db = &pool,
                                 .clock = &clock_offset,
                                 .queue_calls = &queue_calls,
                                 .on_finished = on_finished};
    attempt_host_init(&host, 2);
    loop_timer_init(&guard, &loop, on_late, NULL);
    loop_timer_set(&guard, clock_mono_us() + GUARD_MS * 1000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (attempt)
        attempt_free(attempt);
    attempt = NULL;
    loop_timer_stop(&guard);
    loop_timer_stop(&actor);
    assert_null(host.running);
    assert_int_equal(host.coros.live_count, 0);
    attempt_host_clear(&host);
    db_pool_clear(&pool);
    loop_clear(&loop);
    return 0;
}

/* Runs it until it has ended; act, where there is one, is done in its first moments. */
static void run(struct errand_kind errand, size_t count, int timeout_ms, void (*act)(void))
{
    static struct errand_kind kept;
    static const struct errand_statement statements[] = {{"one", "select 1"}};
    static const struct errand_module module = {
        .name = "test", .statements = statements, .statement_count = 1};
    static struct kind_life life = {.holders = 1};
    static struct kind kind;
    kept = errand;
    kind = (struct kind){.errand = &kept, .module = &module, .name = "test.kind", .life = &life};
    attempt = attempt_new(&host, &kind, count, NULL);
    for (size_t i = 0; i < count; i++)
        attempt->jobs[i].id = (int64_t)i + 1;
    loop_timer_init(&actor, &loop, on_act, &act);
    if (act)
        loop_timer_set(&actor, clock_mono_us() + 20000);
    attempt_start(attempt, timeout_ms);
    if (!finished)
        loop_run(&loop);
}

static enum outcome_code outcome(size_t i)
{
    return attempt->jobs[i].outcome.code;
}

static void cancel(void)
{
    attempt_cancel(attempt);
}

static void cut(void)
{
    attempt_host_cut(&host, 0);
}

/* ---- Ways to wait ---- */

static void sleep_for_ever(struct errand_job *job)
{
    for (;; seen.calls++)
        errand_sleep(job, LONG_MS);
}

static void sleep_shortly_for_ever(struct errand_job *job)
{
    for (;; seen.calls++)
        errand_sleep(job, 1);
}

static void rate_for_ever(struct errand_job *job)
{
    for (;; seen.calls++)
        errand_rate_wait(job);
}

static void http_for_ever(struct errand_job *job)
{
    const char *url = errand_printf(job, "http://127.0.0.1:%d/", seen.port);
    const struct errand_request request = {.size = sizeof request, .method = "GET", .url = url};
    struct errand_response response;
    for (;; seen.calls++)
        errand_http(job, &request, &response);
}

static void child_for_ever(struct errand_job *job)
{
    static const char *const argv[] = {"sleep", "60", NULL};
    const struct errand_child child = {.size = sizeof child, .argv = argv};
    struct errand_child_result result = {.size = sizeof result};
    for (;; seen.calls++)
        errand_child(job, &child, &result);
}

static void query_for_ever(struct errand_job *job)
{
    const struct errand_rows *rows;
    for (;; seen.calls++)
        errand_query(job, 0, 0, NULL, &rows, NULL);
}

static int listen_without_answer(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(file, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(file, 16), 0);
    assert_int_equal(getsockname(file, (struct sockaddr *)&address, &length), 0);
    seen.port = ntohs(address.sin_port);
    return file;
}

static void test_none_comes_back_from_a_wait(void **state)
{
    (void)state;
    static void (*const handlers[])(struct errand_job *) = {sleep_for_ever, sleep_shortly_for_ever,
                                                            rate_for_ever,  http_for_ever,
                                                            child_for_ever, query_for_ever};
    static void (*const acts[])(void) = {NULL, cancel, cut};
    int file = listen_without_answer();
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        for (size_t j = 0; j < sizeof acts / sizeof *acts; j++) {
            seen.calls = 0;
            run((struct errand_kind){.run = handlers[i]}, 1, acts[j] ? LONG_MS : 20, acts[j]);
            assert_true(seen.calls == 0 || handlers[i] == sleep_shortly_for_ever);
            assert_int_equal(outcome(0), OUTCOME_CANCELLED);
            assert_int_equal(attempt->timed_out, acts[j] == NULL);
            assert_int_equal(attempt->cut, acts[j] == cut);
            assert_int_equal(host.coros.live_count, 0);
            attempt_free(attempt);
            attempt = NULL;
            finished = false;
        }
    close(file);
}

/* ---- What is given back ---- */

static void trace_context(void *context)
{
    trace(context);
}

static char a[] = "a", b[] = "b", c[] = "c";

static void hold_three(struct errand_job *job)
{
    errand_cleanup(job, trace_context, a);
    errand_cleanup(job, trace_context, b);
    errand_cleanup(job, free, strdup("memory"));
    errand_cleanup(job, trace_context, c);
    errand_cleanup_now(job, trace_context, b);
    errand_cleanup_now(job, trace_context, b); /* there is none any more */
    trace("-");
}

static void hold_and_return(struct errand_job *job)
{
    hold_three(job);
}

static void hold_and_sleep(struct errand_job *job)
{
    char deep[8192];
    memset(deep, 'x', sizeof deep);
    errand_alloc(job, (size_t)deep[17]);
    hold_three(job);
    sleep_for_ever(job);
}

static void send_two_lines(struct errand_job *job)
{
    const struct errand_header header = {"x-name", "Ada\r\nx-admin: 1"};
    const struct errand_request request = {.size = sizeof request,
                                           .method = "GET",
                                           .url = "http://127.0.0.1:1/",
                                           .headers = &header,
                                           .header_count = 1};
    const struct errand_request method = {
        .size = sizeof method, .method = "GET / HTTP/1.1\r\n", .url = "http://127.0.0.1:1/"};
    struct errand_response response;
    errand_http(job, &request, &response);
    assert_int_equal(response.result, ERRAND_HTTP_NOT_SENT);
    assert_string_equal(response.error, "a header of the request holds a line break");
    assert_null(errand_http_open(job, &request, &response));
    assert_string_equal(response.error, "a header of the request holds a line break");
    errand_http(job, &method, &response);
    assert_string_equal(response.error, "the request's method holds a line break");
}

static void test_line_break_in_a_request(void **state)
{
    (void)state;
    run((struct errand_kind){.run = send_two_lines}, 1, LONG_MS, NULL);
    assert_int_equal(outcome(0), OUTCOME_DONE);
}

static void retry_never(struct errand_job *job)
{
    errand_retry(job, INT64_MAX, "later");
}

static void test_delay_has_a_greatest(void **state)
{
    (void)state;
    run((struct errand_kind){.run = retry_never}, 1, LONG_MS, NULL);
    assert_int_equal(outcome(0), OUTCOME_RETRY);
    assert_true(attempt->jobs[0].outcome.delay_ms == INT64_C(3650) * 86400000);
}

static void test_cleanup_at_the_return(void **state)
{
    (void)state;
    run((struct errand_kind){.run = hold_and_return}, 1, LONG_MS, NULL);
    assert_string_equal(seen.trace, "b-ca");
    assert_int_equal(outcome(0), OUTCOME_DONE);
}

static void test_cleanup_when_unwound(void **state)
{
    (void)state;
    run((struct errand_kind){.run = hold_and_sleep}, 1, LONG_MS, cancel);
    assert_string_equal(seen.trace, "b-ca");
    assert_int_equal(outcome(0), OUTCOME_CANCELLED);
}

/* A stack that was taken away serves the next one. */
static void test_stack_is_lent_out_again(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        seen.trace[0] = '\0';
        run((struct errand_kind){.run = i % 2 ? hold_and_sleep : hold_and_return}, 1, LONG_MS,
            i % 2 ? cut : NULL);
        assert_string_equal(seen.trace, "b-ca");
        assert_int_equal(host.coros.idle_count, 1);
        attempt_free(attempt);
        attempt = NULL;
        finished = false;
    }
}

/* ---- Outcomes ---- */

static void finish_some(struct errand_job *const *jobs, size_t count)
{
    assert_int_equal(count, 3);
    errand_done(jobs[0]);
    errand_fail(jobs[2], "bad");
    errand_result_text(jobs[1], "1", NULL);
    sleep_for_ever(jobs[1]);
}

static void test_jobs_of_a_batch_keep_their_outcome(void **state)
{
    (void)state;
    run((struct errand_kind){.run_batch = finish_some}, 3, 20, NULL);
    assert_int_equal(outcome(0), OUTCOME_DONE);
    assert_int_equal(outcome(1), OUTCOME_CANCELLED);
    assert_null(attempt->jobs[1].outcome.result);
    assert_int_equal(outcome(2), OUTCOME_DEAD);
}

static void end_itself(struct errand_job *job)
{
    errand_sleep(job, LONG_MS);
    assert_true(errand_is_cancelled(job));
    errand_sleep(job, LONG_MS); /* returns at once, too */
    errand_unknown(job, "asked");
}

static void test_kind_that_ends_itself(void **state)
{
    (void)state;
    int64_t begun_us = clock_mono_us();
    run((struct errand_kind){.run = end_itself, .cancel_grace_ms = LONG_MS}, 1, LONG_MS, cancel);
    assert_int_equal(outcome(0), OUTCOME_UNKNOWN);
    assert_true(clock_mono_us() - begun_us < 5000000);
}

/* Its grace is over while it goes on: then it does not come back, either, and until then the loop
 * has its turns between calls that return at once. */
static void test_kind_whose_grace_is_over(void **state)
{
    (void)state;
    static void (*const handlers[])(struct errand_job *) = {sleep_for_ever, rate_for_ever,
                                                            http_for_ever, child_for_ever};
    int file = listen_without_answer();
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        seen.calls = 0;
        run((struct errand_kind){.run = handlers[i], .cancel_grace_ms = 100}, 1, LONG_MS, cancel);
        assert_in_range(seen.calls, 2, 110);
        assert_int_equal(outcome(0), OUTCOME_CANCELLED);
        attempt_free(attempt);
        attempt = NULL;
        finished = false;
    }
    close(file);
}

/* ---- Mistakes ---- */

static void finish_twice(struct errand_job *job)
{
    errand_retry(job, 5, "first");
    errand_snooze(job, 7, "second");
    errand_done(job);
}

static void test_first_finish_counts(void **state)
{
    (void)state;
    run((struct errand_kind){.run = finish_twice}, 1, LONG_MS, NULL);
    assert_int_equal(outcome(0), OUTCOME_RETRY);
    assert_int_equal(attempt->jobs[0].outcome.delay_ms, 5);
    assert_int_equal(attempt->jobs[0].outcome.run_at_us, 0);
    assert_string_equal(attempt->jobs[0].outcome.text, "first");
    assert_string_equal(seen.line,
                        "mistake: errand_done: the job is finished twice, the first one counts");
}

static void call_after_finish(struct errand_job *job)
{
    static const char *const argv[] = {"true", NULL};
    const struct errand_request request = {
        .size = sizeof request, .method = "GET", .url = "http://127.0.0.1:1/"};
    const struct errand_child child = {.size = sizeof child, .argv = argv};
    struct errand_response response;
    struct errand_child_result result = {.size = sizeof result};
    const struct errand_rows *rows;
    const char *error = "", *step;
    errand_done(job);
    assert_false(errand_query(job, 0, 0, NULL, &rows, &error));
    assert_string_equal(error, "the job is finished");
    assert_false(errand_step(job, "a", &step, &error));
    assert_false(errand_result_text(job, "1", &error));
    errand_http(job, &request, &response);
    assert_int_equal(response.result, ERRAND_HTTP_NOT_SENT);
    assert_string_equal(response.error, "the job is finished");
    errand_child(job, &child, &result);
    assert_int_equal(result.end, ERRAND_CHILD_NOT_RUN);
    errand_sleep(job, LONG_MS);
    errand_rate_wait(job);
    errand_effect(job, 0, 0, NULL); /* it is not lost */
    trace("end");
}

static void test_calls_after_the_finish_do_nothing(void **state)
{
    (void)state;
    run((struct errand_kind){.run = call_after_finish}, 1, LONG_MS, NULL);
    assert_string_equal(seen.trace, "end");
    assert_int_equal(outcome(0), OUTCOME_DONE);
    assert_null(attempt->jobs[0].outcome.result);
    assert_non_null(attempt->jobs[0].outcome.effects);
}

static void name_no_statement(struct errand_job *job)
{
    const struct errand_rows *rows;
    const char *error = "";
    assert_false(errand_query(job, 7, 0, NULL, &rows, &error));
    assert_string_equal(error, "there is no statement 7: module test has 1");
    errand_effect(job, -1, 0, NULL);
    errand_done(job);
}

/* What was to commit with it and cannot: then it is not done. */
static void test_no_such_statement(void **state)
{
    (void)state;
    run((struct errand_kind){.run = name_no_statement}, 1, LONG_MS, NULL);
    assert_int_equal(outcome(0), OUTCOME_DEAD);
    assert_string_equal(attempt->jobs[0].outcome.text,
                        "errand_effect: there is no statement -1: module test has 1");
}

static struct errand_job *kept;

static void keep(struct errand_job *job)
{
    kept = job;
}

static void use_kept(struct errand_job *job)
{
    (void)job;
    errand_fail(kept, "not this one");
    errand_sleep(kept, LONG_MS);
    assert_non_null(errand_alloc(job, 8));
}

static void test_job_of_another_attempt(void **state)
{
    (void)state;
    run((struct errand_kind){.run = keep}, 1, LONG_MS, NULL);
    attempt_free(attempt); /* it is only compared */
    finished = false;
    run((struct errand_kind){.run = use_kept}, 1, LONG_MS, NULL);
    assert_int_equal(outcome(0), OUTCOME_DONE);
}

static void *call_elsewhere(void *owner)
{
    errand_fail(owner, "another thread");
    errand_sleep(owner, LONG_MS);
    errand_log(owner, ERRAND_INFO, "another thread");
    return NULL;
}

static void call_from_thread(struct errand_job *job)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_elsewhere, job), 0);
    pthread_join(thread, NULL);
}

static void test_call_from_another_thread(void **state)
{
    (void)state;
    run((struct errand_kind){.run = call_from_thread}, 1, LONG_MS, NULL);
    assert_int_equal(outcome(0), OUTCOME_DONE);
}

static void wait_and_finish(void *context)
{
    errand_sleep(context, LONG_MS);
    errand_done(context);
}

static void clean_up_too_much(struct errand_job *job)
{
    errand_cleanup(job, wait_and_finish, job);
    sleep_for_ever(job);
}

static void test_cleanup_neither_waits_nor_finishes(void **state)
{
    (void)state;
    run((struct errand_kind){.run = clean_up_too_much}, 1, LONG_MS, cancel);
    assert_int_equal(outcome(0), OUTCOME_CANCELLED);
}

static void pass_too_many(struct errand_job *job)
{
    static const char *const params[] = {"1", "2"};
    errand_effect(job, 0, 2, params);
}

/* ---- Threads ---- */

struct heavy {
    struct errand_job *job;
    pthread_t thread;
    bool calls;
};

static void work_until_cancelled(struct errand_thread *thread, void *context)
{
    struct heavy *heavy = context;
    heavy->thread = pthread_self();
    if (heavy->calls) {
        errand_log(heavy->job, ERRAND_INFO, "from the thread");
        errand_sleep(heavy->job, LONG_MS);
        return;
    }
    while (!errand_thread_is_cancelled(thread))
        usleep(1000);
    trace("c");
}

static void work_on_thread(struct errand_job *job)
{
    struct heavy *heavy = errand_alloc(job, sizeof *heavy);
    heavy->job = job;
    errand_thread(job, work_until_cancelled, heavy, NULL);
    trace("never");
}

static void test_thread_of_an_attempt_that_ends(void **state)
{
    (void)state;
    run((struct errand_kind){.run = work_on_thread}, 1, 20, NULL);
    assert_string_equal(seen.trace, "c");
    assert_int_equal(outcome(0), OUTCOME_CANCELLED);
}

static void call_on_thread(struct errand_job *job)
{
    struct heavy *heavy = errand_alloc(job, sizeof *heavy);
    *heavy = (struct heavy){.job = job, .calls = true};
    assert_true(errand_thread(job, work_until_cancelled, heavy, NULL));
    assert_false(pthread_equal(heavy->thread, pthread_self()));
    trace("back");
}

static void test_thread_calls_nothing(void **state)
{
    (void)state;
    run((struct errand_kind){.run = call_on_thread}, 1, LONG_MS, NULL);
    assert_string_equal(seen.trace, "back");
    assert_int_equal(outcome(0), OUTCOME_DONE);
}

static void ask_for_thread(struct errand_job *job)
{
    const char *error = "";
    errand_sleep(job, LONG_MS);
    assert_false(errand_thread(job, work_until_cancelled, NULL, &error));
    assert_string_equal(error, "the job was asked to end");
}

static void test_no_thread_for_one_that_is_to_end(void **state)
{
    (void)state;
    run((struct errand_kind){.run = ask_for_thread, .cancel_grace_ms = LONG_MS}, 1, LONG_MS,
        cancel);
    assert_int_equal(outcome(0), OUTCOME_DONE);
}

/* In debug builds, of which this is one or says so. */
static void test_mistakes_end_the_process(void **state)
{
    (void)state;
    static void (*const handlers[])(struct errand_job *) = {
        finish_twice, call_after_finish, name_no_statement, call_from_thread, pass_too_many};
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            call_mistakes_are_fatal = true;
            run((struct errand_kind){.run = handlers[i]}, 1, LONG_MS, NULL);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none_comes_back_from_a_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_line_break_in_a_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delay_has_a_greatest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup_at_the_return, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup_when_unwound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stack_is_lent_out_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_of_a_batch_keep_their_outcome, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kind_that_ends_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kind_whose_grace_is_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_first_finish_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls_after_the_finish_do_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_such_statement, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_of_another_attempt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_call_from_another_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup_neither_waits_nor_finishes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_thread_of_an_attempt_that_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_thread_calls_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_thread_for_one_that_is_to_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mistakes_end_the_process, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
