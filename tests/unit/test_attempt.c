/* attempt: a handler that is to end does not come back from where it waits, what it holds is given
 * back, and each of its jobs has the outcome that it should. */
#include "support/attempt_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
        cmocka_unit_test_setup_teardown(test_thread_of_an_attempt_that_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_thread_calls_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_thread_for_one_that_is_to_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
