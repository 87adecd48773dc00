/* What unit tests of programs share: a loop, its children, and shell scripts run to their end. */
#ifndef SUPPORT_CHILD_BED_H
#define SUPPORT_CHILD_BED_H

#include "loop/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static struct loop loop;
static struct children children;
static int told;

static inline int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    told = 0;
    loop_init(&loop);
    children_init(&children, &loop);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    children_clear(&children);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(errno, ECHILD);
    loop_clear(&loop);
    return 0;
}

static inline void on_done(struct child *child, void *owner)
{
    (void)child, (void)owner;
    told++;
    loop_stop(&loop);
}

static struct child *run(const struct child_options *options)
{
    struct child *child = child_start(&children, options, on_done, NULL);
    assert_int_equal(told, 0);
    loop_run(&loop);
    assert_int_equal(told, 1);
    told = 0;
    return child;
}

static const char *sh_argv[] = {"sh", "-c", NULL, NULL};

static struct child_options sh(const char *script)
{
    sh_argv[2] = script;
    return (struct child_options){
        .plan = {.argv = sh_argv}, .grace_ms = 200, .max_out_bytes = 1000, .max_err_bytes = 1000};
}

static struct child *run_sh(const char *script)
{
    struct child_options options = sh(script);
    return run(&options);
}

#endif
