/* warden: it ends whatever else its process was about when it was started, and ends what is left.
 */
#include "loop/warden.h"

#include "base/clock.h"
#include "support/child_bed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { NO_GROUP = 1 << 23 /* no process has such a number */ };

/* ---- Threads at its start ---- */

enum { THREADS = 3, ROUNDS = 100, PIECE_MAX = 1 << 16 };

static atomic_bool churn_is_over;

static void *thread_ends(void *owner)
{
    return owner;
}

/* Holds the locks of threads and of memory again and again. */
static void *churn(void *owner)
{
    for (size_t bytes = 1; !atomic_load(&churn_is_over); bytes = bytes * 5 % PIECE_MAX + 1) {
        pthread_t thread;
        free(malloc(bytes));
        if (pthread_create(&thread, NULL, thread_ends, NULL) == 0)
            pthread_join(thread, NULL);
    }
    return owner;
}

/* A lock that another thread held when the warden was forked is never let go there. */
static void test_that_starts_among_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    atomic_store(&churn_is_over, false);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    int64_t longest_us = 0;
    for (int i = 0; i < ROUNDS; i++) {
        child_free(run_sh("true"));
        int64_t begun_us = clock_mono_us();
        children_clear(&children);
        int64_t took_us = clock_mono_us() - begun_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
        children_init(&children, &loop);
    }
    atomic_store(&churn_is_over, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(longest_us < 4000000);
}

/* ---- Its end ---- */

static void test_that_does_not_end(void **state)
{
    (void)state;
    struct warden warden = {0};
    struct err err;
    bool is_new;
    assert_true(warden_ready(&warden, &is_new, &err));
    pid_t pid = warden.pid;
    int64_t begun_us = clock_mono_us();
    kill(pid, SIGSTOP);
    warden_stop(&warden);
    assert_true(clock_mono_us() - begun_us < 20000000);
    assert_int_equal(warden.pid, 0);
    assert_true(kill(pid, 0) != 0 && errno == ESRCH);
}

static void test_that_knows_many_groups(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    struct warden warden = {0};
    struct err err;
    bool is_new;
    int status;
    pid_t group = fork();
    if (group == 0) {
        setsid();
        for (;;)
            pause();
    }
    assert_true(warden_ready(&warden, &is_new, &err));
    for (pid_t i = 0; i < MANY; i++)
        warden_tell(&warden, NO_GROUP + i);
    warden_tell(&warden, group);
    for (pid_t i = 0; i < MANY; i += 2)
        warden_tell(&warden, -(NO_GROUP + i));
    while (getpgid(group) != group)
        continue;
    warden_stop(&warden);
    assert_int_equal(waitpid(group, &status, 0), group);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_that_starts_among_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_that_does_not_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_that_knows_many_groups, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
