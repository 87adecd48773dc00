/* Strays: what has left its program's process group ends with it all the same, and nothing else
 * does. */
#include "base/clock.h"
#include "support/child_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_pause_over(void *owner)
{
    (void)owner;
    loop_stop(&loop);
}

static void run_for(int ms)
{
    struct loop_timer pause;
    loop_timer_init(&pause, &loop, on_pause_over, NULL);
    loop_timer_set(&pause, clock_mono_us() + (int64_t)ms * 1000);
    loop_run(&loop);
}

static bool is_gone_within(pid_t pid, int ms)
{
    for (; ms > 0 && kill(pid, 0) == 0; ms -= 20)
        run_for(20);
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static const char *const daemons[] = {
    /* in a session of its own; the same with children there; two sessions down */
    "setsid sh -c 'trap \"\" TERM; echo $$; sleep 60' >&2 & sleep 0.3",
    "setsid sh -c 'echo $$; (trap \"\" TERM HUP; sleep 60; sleep 60) & wait' >&2 & sleep 0.3",
    "setsid sh -c 'setsid sh -c \"trap : TERM; sleep 60; sleep 60\" & echo $!' >&2 & sleep 0.3",
};

static void test_what_left_its_group_ends_soon(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof daemons / sizeof *daemons; i++) {
        struct child *child = run_sh(daemons[i]);
        pid_t stray = (pid_t)atoi(buf_text(&child->err_out.kept));
        child_free(child);
        assert_true(stray > 1);
        assert_true(is_gone_within(stray, 2000));
    }
}

/* It is nobody's, so it ends with the last program. */
static void test_what_left_without_its_mark(void **state)
{
    (void)state;
    struct child_options last = sh("sleep 60");
    struct child *other = child_start(&children, &last, on_done, NULL);
    struct child *child = run_sh("env -i setsid sh -c 'echo $$; exec sleep 60' >&2 & sleep 0.3");
    pid_t stray = (pid_t)atoi(buf_text(&child->err_out.kept));
    child_free(child);
    assert_true(stray > 1);
    assert_false(is_gone_within(stray, 200));
    child_cancel(other, 0);
    loop_run(&loop);
    assert_true(is_gone_within(stray, 2000));
    child_free(other);
}

static void test_what_left_goes_on_while_its_program_runs(void **state)
{
    (void)state;
    struct child_options options =
        sh("(setsid sh -c 'sleep 0.6; echo went on' &) ; sleep 1; echo end");
    struct child *child = child_start(&children, &options, on_done, NULL);
    struct child *other = run_sh("sleep 0.2"); /* after which there is a look */
    child_free(other);
    loop_run(&loop);
    assert_string_equal(buf_text(&child->out.kept), "went on\nend\n");
    child_free(child);
}

/* A process that somebody else in here has started is left alone. */
static void test_others_children_are_left_alone(void **state)
{
    (void)state;
    FILE *pipe = popen("sleep 0.4; exit 3", "re");
    assert_non_null(pipe);
    struct child *child = run_sh("true");
    child_free(child);
    run_for(600);
    int status = pclose(pipe);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_left_its_group_ends_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_left_without_its_mark, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_left_goes_on_while_its_program_runs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_others_children_are_left_alone, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
