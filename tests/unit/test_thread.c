/* thread: the work runs elsewhere, its end is told on the loop. */
#include "loop/thread.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { MANY = 24 };

struct work {
    struct loop *loop;
    pthread_t worker, told;
    bool worked, done, sigterm_blocked;
    int *left;
};

static void run(void *owner)
{
    struct work *work = owner;
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    work->sigterm_blocked = sigismember(&blocked, SIGTERM) == 1;
    work->worker = pthread_self();
    work->worked = true;
}

static void on_done(void *owner)
{
    struct work *work = owner;
    assert_true(work->worked);
    assert_false(work->done);
    work->told = pthread_self();
    work->done = true;
    if (--*work->left == 0)
        loop_stop(work->loop);
}

static void on_late(void *owner)
{
    (void)owner;
    fail_msg("a thread's end is never told");
}

static void test_many(void **state)
{
    (void)state;
    struct loop loop;
    struct work works[MANY] = {0};
    struct loop_timer guard;
    struct err err = {0};
    int left = MANY;
    loop_init(&loop);
    loop_timer_init(&guard, &loop, on_late, NULL);
    loop_timer_set(&guard, clock_mono_us() + 20000000);
    for (int i = 0; i < MANY; i++) {
        works[i] = (struct work){.loop = &loop, .left = &left};
        assert_true(thread_start(&loop, run, on_done, &works[i], &err));
        assert_false(works[i].done); /* never inside the call */
    }
    loop_run(&loop);
    for (int i = 0; i < MANY; i++) {
        assert_true(works[i].done);
        assert_true(pthread_equal(works[i].told, pthread_self()));
        assert_false(pthread_equal(works[i].worker, pthread_self()));
        assert_true(works[i].sigterm_blocked);
    }
    loop_timer_stop(&guard);
    loop_clear(&loop);
}

static void test_signals_of_the_caller_stay_as_they_were(void **state)
{
    (void)state;
    struct loop loop;
    struct err err = {0};
    sigset_t before, after;
    int left = 1;
    struct work work = {.loop = &loop, .left = &left};
    loop_init(&loop);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_true(thread_start(&loop, run, on_done, &work, &err));
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    for (int number = 1; number < NSIG; number++)
        assert_int_equal(sigismember(&before, number), sigismember(&after, number));
    loop_run(&loop);
    loop_clear(&loop);
}

static void tell_when_told(void *owner)
{
    const int *ends = owner;
    char word;
    assert_int_equal(read(ends[0], &word, 1), 1);
    assert_int_equal(write(ends[3], "", 1), 1);
}

static void never(void *owner)
{
    (void)owner;
    fail_msg("the end is told to a loop that is gone");
}

/* Until the process has no other thread. */
static void wait_alone(void)
{
    int64_t until_us = clock_mono_us() + 20000000;
    for (size_t threads = 0; threads != 3;) { /* ".", ".." and this one */
        struct dirent *entry;
        DIR *tasks = opendir("/proc/self/task");
        assert_non_null(tasks);
        assert_true(clock_mono_us() < until_us);
        for (threads = 0; (entry = readdir(tasks));)
            threads++;
        closedir(tasks);
    }
}

/* One that has ended, untold, and one that has not: neither touches the loop afterwards. */
static void test_a_loop_does_not_outlive_its_threads(void **state)
{
    (void)state;
    struct loop loop;
    struct err err = {0};
    int early[4], late[4];
    char word;
    assert_true(pipe(early) == 0 && pipe(early + 2) == 0 && pipe(late) == 0 && pipe(late + 2) == 0);
    loop_init(&loop);
    assert_true(thread_start(&loop, tell_when_told, never, early, &err));
    assert_true(thread_start(&loop, tell_when_told, never, late, &err));
    assert_int_equal(write(early[1], "", 1), 1);
    assert_int_equal(read(early[2], &word, 1), 1);
    loop_clear(&loop);
    assert_int_equal(write(late[1], "", 1), 1);
    assert_int_equal(read(late[2], &word, 1), 1);
    wait_alone(); /* what a thread does behind its work is done */
    for (int i = 0; i < 4; i++) {
        close(early[i]);
        close(late[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_signals_of_the_caller_stay_as_they_were),
        cmocka_unit_test(test_a_loop_does_not_outlive_its_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
