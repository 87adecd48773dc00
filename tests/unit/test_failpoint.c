/* failpoint: which name ends the process, and at which time it is reached; nothing where none is
 * compiled in. */
#include "base/failpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REACHES = 5 };

static int *passed; /* shared with the child */

static bool is_compiled_in(void)
{
    setenv("ERRAND_FAILPOINT", "x.y", 1);
    bool enabled = failpoint_enabled();
    unsetenv("ERRAND_FAILPOINT");
    return enabled;
}

/* How often prefix.name was passed before the process ended; REACHES: it did not. */
static int passes(const char *setting, const char *prefix, const char *name)
{
    pid_t child = fork();
    if (child == 0) {
        if (setting)
            setenv("ERRAND_FAILPOINT", setting, 1);
        else
            unsetenv("ERRAND_FAILPOINT");
        for (*passed = 0; *passed < REACHES; ++*passed)
            failpoint_reach(prefix, name);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (*passed == REACHES)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    else
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return *passed;
}

static void test_names(void **state)
{
    (void)state;
    int killed_at_once = is_compiled_in() ? 0 : REACHES;
    assert_int_equal(passes("email.after_send", "email", "after_send"), killed_at_once);
    assert_int_equal(passes("email.after_send", "email", "after"), REACHES);
    assert_int_equal(passes("email.after_send", "email", "after_send_more"), REACHES);
    assert_int_equal(passes("email.after_send", "mail", "after_send"), REACHES);
    assert_int_equal(passes("email.after_send", "email.after_send", ""), REACHES);
    assert_int_equal(passes("email", "email", "after_send"), REACHES);
    assert_int_equal(passes("", "email", "after_send"), REACHES);
    assert_int_equal(passes("email.after_send", NULL, "after_send"), REACHES);
    assert_int_equal(passes(NULL, "email", "after_send"), REACHES);
}

static void test_count(void **state)
{
    (void)state;
    int third = is_compiled_in() ? 2 : REACHES;
    assert_int_equal(passes("email.x:3", "email", "x"), third);
    assert_int_equal(passes("email.x:1", "email", "x"), is_compiled_in() ? 0 : REACHES);
    assert_int_equal(passes("email.x:6", "email", "x"), REACHES);
}

static void test_enabled(void **state)
{
    (void)state;
    unsetenv("ERRAND_FAILPOINT");
    assert_false(failpoint_enabled());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_enabled),
    };
    passed = mmap(NULL, sizeof *passed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return passed == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
