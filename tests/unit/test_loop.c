/* loop: the order of deferred things and of timers, and what cancelling and moving them means. */
#include "loop/loop.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static struct loop loop;
static char trace[128];

static void note(const char *what)
{
    assert_true(strlen(trace) + strlen(what) < sizeof trace);
    strcat(trace, what);
}

static int set_up(void **state)
{
    (void)state;
    trace[0] = '\0';
    loop_init(&loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_clear(&loop);
    return 0;
}

static void on_note(void *owner)
{
    note(owner);
}

static void on_stop(void *owner)
{
    (void)owner;
    note(".");
    loop_stop(&loop);
}

static void stop_after_ms(struct loop_timer *timer, int ms)
{
    loop_timer_init(timer, &loop, on_stop, NULL);
    loop_timer_set(timer, clock_mono_us() + ms * 1000);
}

/* ---- Deferred ---- */

static struct loop_deferred first = {.run = on_note, .owner = (char[]){"a"}},
                            second = {.run = on_note, .owner = (char[]){"b"}},
                            third = {.run = on_note, .owner = (char[]){"c"}},
                            end = {.run = on_stop};

static void test_deferred_run_in_order_once(void **state)
{
    (void)state;
    loop_defer(&loop, &first);
    loop_defer(&loop, &second);
    loop_defer(&loop, &first);
    loop_defer(&loop, &third);
    assert_string_equal(trace, "");
    loop_defer(&loop, &end);
    loop_run(&loop);
    assert_string_equal(trace, "abc.");
}

static void test_cancelled_does_not_run(void **state)
{
    (void)state;
    struct loop_deferred *const places[] = {&first, &second, &third};
    static const char *const left[] = {"bc.", "ac.", "ab."};
    for (size_t i = 0; i < 3; i++) {
        trace[0] = '\0';
        for (size_t j = 0; j < 3; j++)
            loop_defer(&loop, places[j]);
        loop_defer_cancel(&loop, places[i]);
        loop_defer_cancel(&loop, places[i]);
        loop_defer(&loop, &end);
        loop_run(&loop);
        assert_string_equal(trace, left[i]);
    }
}

static void test_cancel_of_the_last_leaves_the_list_whole(void **state)
{
    (void)state;
    loop_defer(&loop, &first);
    loop_defer(&loop, &second);
    loop_defer_cancel(&loop, &second);
    loop_defer(&loop, &third);
    loop_defer(&loop, &second);
    loop_defer(&loop, &end);
    loop_run(&loop);
    assert_string_equal(trace, "acb.");
}

static void on_cancel(void *owner)
{
    note("x");
    loop_defer_cancel(&loop, owner);
}

/* Whoever embeds the struct may go with it, in the middle of a round, too. */
static void test_cancelled_by_one_of_the_same_round(void **state)
{
    struct loop_deferred canceller = {.run = on_cancel, .owner = &second};
    (void)state;
    loop_defer(&loop, &canceller);
    loop_defer(&loop, &first);
    loop_defer(&loop, &second);
    loop_defer(&loop, &third);
    loop_defer(&loop, &end);
    loop_run(&loop);
    assert_string_equal(trace, "xac.");
    assert_false(second.queued);
}

static int rounds;
static struct loop_deferred again;

static void on_again(void *owner)
{
    (void)owner;
    note("r");
    if (++rounds < 5)
        loop_defer(&loop, &again);
    else
        loop_stop(&loop);
}

/* A chain of deferred ones neither sleeps nor starves a timer. */
static void test_deferred_within_deferred(void **state)
{
    (void)state;
    struct loop_timer timer;
    rounds = 0;
    again = (struct loop_deferred){.run = on_again};
    loop_defer(&loop, &again);
    loop_timer_init(&timer, &loop, on_note, (char[]){"t"});
    loop_timer_set(&timer, clock_mono_us());
    int64_t begun_us = clock_mono_us();
    loop_run(&loop);
    assert_true(clock_mono_us() - begun_us < 500000);
    assert_non_null(strstr(trace, "t"));
    assert_string_not_equal(trace, "rrrrrt");
    loop_timer_stop(&timer);
}

/* ---- Timers ---- */

static void test_timers_run_in_the_order_of_their_times(void **state)
{
    (void)state;
    struct loop_timer timers[4];
    static char names[4][2] = {"1", "2", "3", "4"};
    static const int places[4] = {2, 0, 3, 1}; /* set in another order */
    int64_t now_us = clock_mono_us();
    for (int i = 0; i < 4; i++) {
        int at = places[i];
        loop_timer_init(&timers[at], &loop, on_note, names[at]);
        loop_timer_set(&timers[at], now_us + 5000 * (at + 1));
    }
    struct loop_timer stop;
    stop_after_ms(&stop, 40);
    loop_run(&loop);
    assert_string_equal(trace, "1234.");
}

static int64_t fired_us;

static void on_fired(void *owner)
{
    fired_us = clock_mono_us();
    on_stop(owner);
}

static void test_not_early_and_hardly_late(void **state)
{
    (void)state;
    struct loop_timer timer;
    loop_timer_init(&timer, &loop, on_fired, NULL);
    for (int ms = 1; ms <= 40; ms += 13) {
        int64_t at_us = clock_mono_us() + ms * 1000;
        loop_timer_set(&timer, at_us);
        loop_run(&loop);
        assert_true(fired_us >= at_us - 1000);
        assert_true(fired_us < at_us + 500000);
        assert_int_equal(timer.at_us, INT64_MAX);
    }
}

static void test_past_time_fires_soon_but_not_inside(void **state)
{
    (void)state;
    struct loop_timer timer;
    loop_timer_init(&timer, &loop, on_stop, NULL);
    loop_timer_set(&timer, clock_mono_us() - 1000000);
    assert_string_equal(trace, "");
    loop_run(&loop);
    assert_string_equal(trace, ".");
    loop_timer_set(&timer, 0);
    loop_run(&loop);
    assert_string_equal(trace, "..");
}

static void test_set_again_moves(void **state)
{
    (void)state;
    struct loop_timer timer, stop;
    int64_t now_us = clock_mono_us();
    loop_timer_init(&timer, &loop, on_note, (char[]){"t"});
    loop_timer_set(&timer, now_us + 1000);
    loop_timer_set(&timer, now_us + 20000);
    stop_after_ms(&stop, 10);
    loop_run(&loop);
    assert_string_equal(trace, ".");
    stop_after_ms(&stop, 30);
    loop_run(&loop);
    assert_string_equal(trace, ".t.");
}

static void test_stopped_does_not_fire(void **state)
{
    (void)state;
    struct loop_timer timer, stop;
    loop_timer_init(&timer, &loop, on_note, (char[]){"t"});
    loop_timer_set(&timer, clock_mono_us() + 1000);
    loop_timer_stop(&timer);
    loop_timer_stop(&timer);
    loop_timer_set(&timer, clock_mono_us() + 2000);
    loop_timer_set(&timer, INT64_MAX);
    stop_after_ms(&stop, 10);
    loop_run(&loop);
    assert_string_equal(trace, ".");
}

static void test_set_least_only_brings_forward(void **state)
{
    (void)state;
    struct loop_timer timer;
    int64_t now_us = clock_mono_us();
    loop_timer_init(&timer, &loop, on_stop, NULL);
    loop_timer_set_least(&timer, now_us + 20000);
    assert_int_equal(timer.at_us, now_us + 20000);
    loop_timer_set_least(&timer, now_us + 30000);
    assert_int_equal(timer.at_us, now_us + 20000);
    loop_timer_set_least(&timer, now_us + 5000);
    assert_int_equal(timer.at_us, now_us + 5000);
    loop_run(&loop);
    assert_true(clock_mono_us() >= now_us + 4000);
}

static void on_set_itself(void *owner)
{
    struct loop_timer *timer = owner;
    note("s");
    if (++rounds == 3)
        loop_stop(&loop);
    else
        loop_timer_set(timer, clock_mono_us() + 1000);
}

static void test_timer_that_sets_itself_again(void **state)
{
    (void)state;
    struct loop_timer timer;
    rounds = 0;
    loop_timer_init(&timer, &loop, on_set_itself, &timer);
    loop_timer_set(&timer, clock_mono_us());
    loop_run(&loop);
    assert_string_equal(trace, "sss");
}

int main(void)
{
#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_deferred_run_in_order_once),
        LOOP_TEST(test_cancelled_does_not_run),
        LOOP_TEST(test_cancel_of_the_last_leaves_the_list_whole),
        LOOP_TEST(test_cancelled_by_one_of_the_same_round),
        LOOP_TEST(test_deferred_within_deferred),
        LOOP_TEST(test_timers_run_in_the_order_of_their_times),
        LOOP_TEST(test_not_early_and_hardly_late),
        LOOP_TEST(test_past_time_fires_soon_but_not_inside),
        LOOP_TEST(test_set_again_moves),
        LOOP_TEST(test_stopped_does_not_fire),
        LOOP_TEST(test_set_least_only_brings_forward),
        LOOP_TEST(test_timer_that_sets_itself_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
