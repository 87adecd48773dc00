/* child: how programs end and are told of, what bounds them, and that nothing of them stays. */
#include "loop/child.h"

#include "base/clock.h"
#include "support/child_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bool group_is_gone(pid_t group)
{
    for (int i = 0; i < 200; i++) { /* a killed orphan is there until somebody has reaped it */
        waitpid(-group, NULL, WNOHANG);
        if (kill(-group, 0) != 0 && errno == ESRCH)
            return true;
        usleep(10000);
    }
    return false;
}

static size_t descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* ---- Ends ---- */

static void test_exit_status_and_output(void **state)
{
    (void)state;
    static const struct {
        const char *script, *out, *err;
        int status;
    } cases[] = {
        {"true", "", "", 0},
        {"exit 7", "", "", 7},
        {"echo a; echo b >&2; exit 255", "a\n", "b\n", 255},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct child *child = run_sh(cases[i].script);
        assert_int_equal(child->end, CHILD_EXITED);
        assert_int_equal(child->status, cases[i].status);
        assert_int_equal(child->signal, 0);
        assert_string_equal(buf_text(&child->out.kept), cases[i].out);
        assert_string_equal(buf_text(&child->err_out.kept), cases[i].err);
        child_free(child);
    }
}

static void test_signal(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGKILL, SIGSEGV, SIGPIPE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char script[32];
        snprintf(script, sizeof script, "kill -%d $$", numbers[i]);
        struct child *child = run_sh(script);
        assert_int_equal(child->end, CHILD_SIGNALED);
        assert_int_equal(child->signal, numbers[i]);
        assert_int_equal(child->status, -1);
        child_free(child);
    }
}

static void test_what_cannot_start_is_told_later(void **state)
{
    (void)state;
    static const char *const missing[] = {"/nowhere/program", NULL},
                             *const bare[] = {"no-such", NULL}, *const folder[] = {"/", NULL},
                             *const fine[] = {"true", NULL};
    const struct spawn_plan plans[] = {
        {.argv = missing}, {.argv = bare}, {.argv = folder}, {.argv = fine, .cwd = "/nowhere"}};
    child_free(run_sh("true")); /* the warden is there from now on */
    size_t before = descriptors();
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        struct child *child = run(&(struct child_options){.plan = plans[i], .timeout_ms = 1});
        assert_int_equal(child->end, CHILD_NOT_STARTED);
        assert_int_equal(child->err.code, ERR_PERMANENT);
        assert_non_null(strstr(child->err.text, plans[i].cwd ? "/nowhere" : plans[i].argv[0]));
        child_free(child);
    }
    assert_int_equal(descriptors(), before);
}

/* ---- Input, output ---- */

static void test_large_input_comes_back(void **state)
{
    (void)state;
    enum { BYTES = 1048576 };
    char *data = malloc(BYTES);
    assert_non_null(data);
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (char)(i * 31 % 251);
    struct child_options options = sh("cat");
    options.input = data;
    options.input_bytes = BYTES;
    options.max_out_bytes = BYTES;
    struct child *child = run(&options);
    assert_int_equal(child->status, 0);
    assert_int_equal(child->out.kept.length, BYTES);
    assert_memory_equal(child->out.kept.data, data, BYTES);
    assert_int_equal(child->out.dropped_bytes, 0);
    child_free(child);
    options.plan.argv = (const char *const[]){"true", NULL};
    child = run(&options); /* nobody reads it */
    assert_int_equal(child->end, CHILD_EXITED);
    assert_int_equal(child->status, 0);
    child_free(child);
    free(data);
}

static void test_output_is_bounded(void **state)
{
    (void)state;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    struct child *child = run_sh("head -c 100000000 /dev/zero; head -c 1500 /dev/zero >&2");
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(child->status, 0);
    assert_int_equal(child->out.kept.length, 1000);
    assert_int_equal(child->out.dropped_bytes, 100000000 - 1000);
    assert_int_equal(child->err_out.kept.length, 1000);
    assert_int_equal(child->err_out.dropped_bytes, 500);
    assert_true(after.ru_maxrss - before.ru_maxrss < 10000);
    child_free(child);
}

/* ---- What it has of errand ---- */

static void test_environment_is_a_short_list(void **state)
{
    (void)state;
    setenv("ERRAND_DATABASE_URL", "secret", 1);
    setenv("TZ", "Asia/Tokyo", 1);
    setenv("LANG", "C.UTF-8", 1);
    struct child_options options = sh("echo $ERRAND_DATABASE_URL-$TZ-$LANG-$MORE; pwd");
    options.plan.env = (const char *const[]){"MORE=a b", "TZ=UTC", NULL};
    options.plan.cwd = "/usr";
    struct child *child = run(&options);
    assert_string_equal(buf_text(&child->out.kept), "-UTC-C.UTF-8-a b\n/usr\n");
    child_free(child);
}

static void test_no_descriptor_no_mask_no_group_of_ours(void **state)
{
    (void)state;
    sigset_t all, before;
    int open = dup(1); /* without CLOEXEC */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    struct child *child = run_sh("echo /proc/$$/fd/*; set -- $(cat /proc/$$/stat);"
                                 "[ $5 = $$ ] && [ $6 = $$ ] && echo own;"
                                 "exec grep -E 'SigBlk|SigIgn' /proc/self/status");
    sigprocmask(SIG_SETMASK, &before, NULL);
    const char *out = buf_text(&child->out.kept);
    char expected[200];
    int pid = (int)child->spawn.pid;
    snprintf(expected, sizeof expected, "/proc/%d/fd/0 /proc/%d/fd/1 /proc/%d/fd/2", pid, pid, pid);
    assert_memory_equal(out, expected, strlen(expected));
    assert_null(strstr(out, "fd/4"));
    assert_non_null(strstr(out, "own\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
    child_free(child);
    close(open);
}

static void test_limits(void **state)
{
    (void)state;
    struct child_options options = sh("ulimit -t; ulimit -v; ulimit -f; ulimit -n; ulimit -c");
    options.plan.limits = (struct spawn_limits){
        .cpu_seconds = 9, .memory_bytes = 512 << 20, .file_bytes = 1 << 20, .open_files = 32};
    struct child *child = run(&options);
    assert_string_equal(buf_text(&child->out.kept), "9\n524288\n2048\n32\n0\n");
    child_free(child);
    options = sh("ulimit -t");
    options.plan.limits.cpu_seconds = INT64_MAX;
    child = run(&options);
    assert_int_equal(child->end, CHILD_EXITED);
    child_free(child);
    options = sh("while :; do :; done");
    options.plan.limits.cpu_seconds = 1;
    child = run(&options);
    assert_int_equal(child->end, CHILD_SIGNALED);
    assert_int_equal(child->signal, SIGXCPU);
    child_free(child);
    options = sh("head -c 100000000 /dev/zero | tail -c 90000000 >/dev/null");
    options.plan.limits.memory_bytes = 32 << 20;
    child = run(&options);
    assert_int_not_equal(child->status, 0);
    child_free(child);
}

/* ---- Nothing stays ---- */

static void test_grandchild_that_ignores_everything_is_gone(void **state)
{
    (void)state;
    int64_t begun_us = clock_mono_us();
    struct child *child = run_sh("(trap '' TERM HUP; while :; do sleep 1; done) & echo on");
    assert_int_equal(child->end, CHILD_EXITED);
    assert_int_equal(child->status, 0);
    assert_string_equal(buf_text(&child->out.kept), "on\n");
    assert_true(clock_mono_us() - begun_us < 2000000);
    assert_true(group_is_gone(child->spawn.pid));
    child_free(child);
}

/* What left the group and holds the pipe does not hold up the end. */
static void test_pipe_that_another_group_holds(void **state)
{
    (void)state;
    int64_t begun_us = clock_mono_us();
    struct child *child = run_sh("setsid sh -c 'trap \"\" TERM; sleep 3' & sleep 0.3; echo on");
    assert_int_equal(child->status, 0);
    assert_string_equal(buf_text(&child->out.kept), "on\n");
    assert_true(clock_mono_us() - begun_us < 2500000);
    child_free(child);
}

static void test_timeout(void **state)
{
    (void)state;
    static const char *const scripts[] = {"echo on; exec sleep 60",
                                          "trap '' TERM; echo on; while :; do sleep 60; done"};
    for (size_t i = 0; i < 2; i++) {
        struct child_options options = sh(scripts[i]);
        options.timeout_ms = 300;
        int64_t begun_us = clock_mono_us();
        struct child *child = run(&options);
        int64_t took_us = clock_mono_us() - begun_us;
        assert_int_equal(child->end, CHILD_TIMEOUT);
        assert_int_equal(child->signal, i ? SIGKILL : SIGTERM);
        assert_string_equal(buf_text(&child->out.kept), "on\n");
        assert_true(took_us > (i ? 490000 : 290000) && took_us < 3000000);
        assert_true(group_is_gone(child->spawn.pid));
        child_free(child);
    }
}

static void on_cancel(void *owner)
{
    child_cancel(owner, 200);
    child_cancel(owner, 300);
    assert_int_equal(told, 0);
}

static void test_cancel(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int status, signal;
    } cases[] = {
        {"exec sleep 60", -1, SIGTERM},
        {"trap 'echo end; exit 3' TERM; while :; do sleep 0.05; done", 3, 0},
        {"trap '' TERM; (trap '' TERM; sleep 60) & wait; sleep 60", -1, SIGKILL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct child_options options = sh(cases[i].script);
        struct loop_timer timer;
        struct child *child = child_start(&children, &options, on_done, NULL);
        loop_timer_init(&timer, &loop, on_cancel, child);
        loop_timer_set(&timer, clock_mono_us() + 200000);
        loop_run(&loop);
        assert_int_equal(told, 1);
        told = 0;
        assert_int_equal(child->end, CHILD_CANCELLED);
        assert_int_equal(child->status, cases[i].status);
        assert_int_equal(child->signal, cases[i].signal);
        assert_true(group_is_gone(child->spawn.pid));
        child_free(child);
    }
}

static void test_cancelled_at_once(void **state)
{
    (void)state;
    struct child_options options = sh("sleep 60");
    struct child *child = child_start(&children, &options, on_done, NULL);
    child_cancel(child, 0);
    assert_int_equal(told, 0);
    loop_run(&loop);
    assert_int_equal(told, 1);
    assert_int_equal(child->end, CHILD_CANCELLED);
    assert_int_equal(child->signal, SIGKILL);
    child_free(child);
}

static void on_done_of_many(struct child *child, void *owner)
{
    assert_int_equal(child->status, 0);
    child_free(child);
    if (++told == *(int *)owner)
        loop_stop(&loop);
}

static void test_many_leak_no_descriptor(void **state)
{
    (void)state;
    child_free(run_sh("true"));
    size_t before = descriptors();
    int count = 50;
    struct child_options options = sh("echo on; echo off >&2");
    for (int i = 0; i < count; i++)
        child_start(&children, &options, on_done_of_many, &count);
    loop_run(&loop);
    assert_int_equal(told, count);
    assert_int_equal(descriptors(), before);
}

static void on_end_of_warden(void *owner)
{
    static int never = 9;
    (void)owner;
    assert_true(children.warden.pid > 1);
    kill(children.warden.pid, SIGKILL);
    usleep(100000);
    struct child_options options = sh("true");
    child_start(&children, &options, on_done_of_many, &never);
}

/* A warden that somebody has killed is replaced, and the new one knows what runs. */
static void test_warden_that_is_gone(void **state)
{
    (void)state;
    struct child_options options = sh("sleep 0.5");
    struct child *child = child_start(&children, &options, on_done, NULL);
    pid_t first = children.warden.pid;
    struct loop_timer timer;
    loop_timer_init(&timer, &loop, on_end_of_warden, NULL);
    loop_timer_set(&timer, clock_mono_us() + 100000);
    loop_run(&loop);
    assert_int_equal(told, 2);
    assert_int_equal(child->status, 0);
    assert_int_not_equal(children.warden.pid, first);
    child_free(child);
}

/* What becomes of a family when the process that started it is killed. */
static void test_warden_outlives_its_process(void **state)
{
    (void)state;
    int ends[2];
    pid_t group = 0, middle;
    assert_int_equal(pipe(ends), 0);
    middle = fork();
    if (middle == 0) {
        struct child_options options =
            sh("trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & wait");
        struct child *child = child_start(&children, &options, on_done, NULL);
        usleep(200000);
        if (write(ends[1], &child->spawn.pid, sizeof group) > 0)
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(read(ends[0], &group, sizeof group), sizeof group);
    assert_int_equal(waitpid(middle, NULL, 0), middle);
    assert_true(group > 1 && group_is_gone(group));
    while (waitpid(-1, NULL, 0) > 0) /* its warden */
        continue;
    close(ends[0]);
    close(ends[1]);
}

static void test_kill_all(void **state)
{
    (void)state;
    struct child_options options = sh("trap '' TERM; sleep 60 & wait; sleep 60");
    struct child *child = child_start(&children, &options, on_done, NULL);
    children_kill(&children);
    loop_run(&loop);
    assert_int_equal(child->signal, SIGKILL);
    assert_true(group_is_gone(child->spawn.pid));
    child_free(child);
}

/* ---- Adopted ---- */

static struct child *adopt(pid_t pid, int output)
{
    const struct child_options options = {.max_err_bytes = 100};
    char mark[STRAY_MARK_BYTES];
    children_mark(&children, mark);
    return child_adopt(&children, &options, pid, output, mark, on_done, NULL);
}

static void test_adopted(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        _exit(write(ends[1], "said", 4) == 4 ? 3 : 4);
    }
    close(ends[1]);
    struct child *child = adopt(pid, ends[0]);
    assert_non_null(child);
    loop_run(&loop);
    assert_int_equal(child->status, 3);
    assert_string_equal(buf_text(&child->err_out.kept), "said");
    child_free(child);
    assert_null(adopt(pid, dup(0)));       /* it is gone */
    assert_null(adopt(getppid(), dup(0))); /* nobody's child */
}

static pid_t fork_that_leads_no_group(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20); /* what nobody ends ends otherwise than it should */
        for (;;)
            pause();
    }
    return pid;
}

/* One is adopted when its number is known, which may be before its setsid. */
static void test_adopted_before_it_leads_its_group(void **state)
{
    (void)state;
    struct child *child = adopt(fork_that_leads_no_group(), dup(0));
    assert_non_null(child);
    child_cancel(child, 0);
    loop_run(&loop);
    assert_int_equal(child->signal, SIGKILL);
    child_free(child);
    int64_t begun_us = clock_mono_us();
    told = 0;
    child = adopt(fork_that_leads_no_group(), dup(0));
    children_clear(&children);
    assert_int_equal(told, 1);
    assert_true(clock_mono_us() - begun_us < 10000000);
    child_free(child);
}

/* ---- Input piece by piece ---- */

struct talk {
    struct child *child;
    struct buf heard;
    int written;
};

static void on_heard(void *owner, const char *data, size_t length)
{
    struct talk *talk = owner;
    buf_add(&talk->heard, data, length);
    if (strcmp(buf_text(&talk->heard), "one\n") == 0)
        child_write(talk->child, "two\n", 4);
    else if (strcmp(buf_text(&talk->heard), "one\ntwo\n") == 0)
        child_close_input(talk->child);
}

static void on_written(void *owner)
{
    struct talk *talk = owner;
    talk->written++;
}

static void talk_start(struct talk *talk, const char *const *argv, const char *input)
{
    const struct child_options options = {.plan = {.argv = argv},
                                          .input = input,
                                          .input_bytes = strlen(input),
                                          .grace_ms = 100,
                                          .on_out = on_heard,
                                          .on_written = on_written};
    *talk = (struct talk){0};
    buf_init(&talk->heard, 0);
    talk->child = child_start(&children, &options, on_done, talk);
}

static void talk_end(struct talk *talk)
{
    child_free(talk->child);
    buf_clear(&talk->heard);
}

static void test_talk(void **state)
{
    const char *const argv[] = {"cat", NULL};
    struct talk talk;
    (void)state;
    talk_start(&talk, argv, "one\n");
    loop_run(&loop);
    assert_string_equal(buf_text(&talk.heard), "one\ntwo\n");
    assert_int_equal(talk.written, 2);
    assert_int_equal(talk.child->end, CHILD_EXITED);
    assert_int_equal(talk.child->out.kept.length, 0);
    talk_end(&talk);
}

static void test_talk_that_is_not_listened_to(void **state)
{
    const char *const argv[] = {"sh", "-c", "exec 0<&-; sleep 0.1", NULL};
    static char input[1000000];
    struct talk talk;
    (void)state;
    memset(input, 'x', sizeof input - 1);
    talk_start(&talk, argv, input);
    loop_run(&loop);
    assert_int_equal(talk.written, 1);
    assert_false(child_takes_input(talk.child));
    assert_true(talk.child->input_bytes > 100000);
    talk_end(&talk);
}

/* One that ends with its input, and one that has to be made to. */
static void test_clear_ends_what_runs(void **state)
{
    const char *const good[] = {"cat", NULL}, *const bad[] = {"sh", "-c",
                                                              "yes & trap '' TERM; sleep 600",
                                                              NULL};
    struct talk talks[2];
    (void)state;
    talk_start(&talks[0], good, "");
    talk_start(&talks[1], bad, "");
    children_clear(&children);
    assert_int_equal(told, 2);
    assert_int_equal(talks[0].child->end, CHILD_CANCELLED);
    assert_int_equal(talks[1].child->end, CHILD_CANCELLED);
    talk_end(&talks[0]);
    talk_end(&talks[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exit_status_and_output, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_start_is_told_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_input_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_output_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_environment_is_a_short_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_descriptor_no_mask_no_group_of_ours, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grandchild_that_ignores_everything_is_gone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_pipe_that_another_group_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timeout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_leak_no_descriptor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_adopted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_adopted_before_it_leads_its_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_warden_that_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_warden_outlives_its_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_talk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_talk_that_is_not_listened_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clear_ends_what_runs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
