/* workers: so many at most at a time, in order, their end told on the loop; what has not begun can
 * be taken back. */
#include "loop/workers.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

enum { MANY = 100, MOST = 3 };

struct piece {
    struct worker_task task; /* first */
    pthread_t worker;
    bool done, sigterm_blocked;
};

static struct loop loop;
static struct workers workers;
static struct loop_timer guard;
static struct piece pieces[MANY];
static atomic_int running, most_running, began;
static sem_t go;
static int left;

static void on_late(void *owner)
{
    (void)owner;
    fail_msg("an end is never told");
}

static int set_up(void **state)
{
    (void)state;
    running = most_running = began = 0;
    sem_init(&go, 0, 0);
    loop_init(&loop);
    workers_init(&workers, &loop, MOST);
    loop_timer_init(&guard, &loop, on_late, NULL);
    loop_timer_set(&guard, clock_mono_us() + 20000000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_timer_stop(&guard);
    workers_clear(&workers);
    loop_clear(&loop);
    sem_destroy(&go);
    return 0;
}

static void work(struct worker_task *task)
{
    struct piece *piece = (struct piece *)task;
    sigset_t blocked;
    int now = atomic_fetch_add(&running, 1) + 1, most = most_running;
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
        continue;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    piece->sigterm_blocked = sigismember(&blocked, SIGTERM) == 1;
    piece->worker = pthread_self();
    atomic_fetch_add(&began, 1);
    sem_wait(&go);
    atomic_fetch_sub(&running, 1);
}

static void on_done(struct worker_task *task)
{
    struct piece *piece = (struct piece *)task;
    assert_false(piece->done);
    assert_false(pthread_equal(piece->worker, pthread_self()));
    piece->done = true;
    if (--left == 0)
        loop_stop(&loop);
}

static void submit(int count)
{
    struct err err;
    left = count;
    for (int i = 0; i < count; i++) {
        pieces[i] = (struct piece){.task = {.work = work, .on_done = on_done}};
        assert_true(workers_submit(&workers, &pieces[i].task, &err));
    }
}

static void test_so_many_at_a_time(void **state)
{
    (void)state;
    submit(MANY);
    for (int i = 0; i < MANY; i++)
        sem_post(&go);
    loop_run(&loop);
    for (int i = 0; i < MANY; i++)
        assert_true(pieces[i].done && pieces[i].sigterm_blocked);
    assert_in_range(most_running, 1, MOST);
    assert_int_equal(workers.count, MOST);
}

static void test_one_after_the_other_needs_one_thread(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        sem_post(&go);
        submit(1);
        loop_run(&loop);
        while (true) { /* it is back in the pool a moment later */
            pthread_mutex_lock(&workers.lock);
            size_t idle = workers.idle;
            pthread_mutex_unlock(&workers.lock);
            if (idle == 1)
                break;
        }
    }
    assert_int_equal(workers.count, 1);
}

static void test_taken_back(void **state)
{
    (void)state;
    submit(MOST + 3);
    while (began < MOST)
        continue;
    assert_false(workers_withdraw(&workers, &pieces[0].task));
    assert_true(workers_withdraw(&workers, &pieces[MOST].task));
    assert_true(workers_withdraw(&workers, &pieces[MOST + 2].task));
    assert_false(workers_withdraw(&workers, &pieces[MOST + 2].task));
    left -= 2;
    for (int i = 0; i < MOST + 1; i++)
        sem_post(&go);
    loop_run(&loop);
    assert_false(pieces[MOST].done || pieces[MOST + 2].done);
    assert_true(pieces[MOST + 1].done);
    assert_false(workers_withdraw(&workers, &pieces[0].task));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_so_many_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_after_the_other_needs_one_thread, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_taken_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
