/* Mistakes of handlers: each is named, and what would follow from it does not happen. */
#include "support/attempt_bed.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void child_without_a_result(struct errand_job *job)
{
    static const char *const argv[] = {"true", NULL};
    const struct errand_child child = {.size = sizeof child, .argv = argv};
    struct errand_child_result result = {.size = 0};
    errand_child(job, &child, &result);
    trace("end");
}

static void test_result_without_a_size(void **state)
{
    (void)state;
    run((struct errand_kind){.run = child_without_a_result}, 1, LONG_MS, NULL);
    assert_string_equal(seen.trace, "end");
    assert_non_null(strstr(seen.line, "mistake: errand_child: its result has no size"));
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
    errand_sleep(job, LONG_MS);
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
        cmocka_unit_test_setup_teardown(test_first_finish_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls_after_the_finish_do_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_result_without_a_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_such_statement, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_of_another_attempt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_call_from_another_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup_neither_waits_nor_finishes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mistakes_end_the_process, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
