/* random: within its bounds, and not the same again and again. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20000, SIDES = 10 };

static void test_bounds_and_spread(void **state)
{
    (void)state;
    int counts[SIDES] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        int64_t value = random_below(SIDES);
        assert_in_range(value, 0, SIDES - 1);
        counts[value]++;
    }
    for (int i = 0; i < SIDES; i++)
        assert_in_range(counts[i], ROUNDS / SIDES * 8 / 10, ROUNDS / SIDES * 12 / 10);
}

static void test_edges(void **state)
{
    (void)state;
    assert_int_equal(random_below(0), 0);
    assert_int_equal(random_below(-5), 0);
    assert_int_equal(random_below(INT64_MIN), 0);
    bool large = false;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(random_below(1), 0);
        int64_t value = random_below(INT64_MAX);
        assert_true(value >= 0);
        large |= value > INT64_MAX / 2;
    }
    assert_true(large);
}

/* Two processes draw differently. */
static void test_processes_differ(void **state)
{
    (void)state;
    int64_t drawn[2];
    int channel[2];
    assert_int_equal(pipe(channel), 0);
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0) {
            int64_t value = random_below(INT64_MAX);
            _exit(write(channel[1], &value, sizeof value) == (ssize_t)sizeof value ? 0 : 1);
        }
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(read(channel[0], &drawn[i], sizeof drawn[i]), sizeof drawn[i]);
    }
    close(channel[0]);
    close(channel[1]);
    assert_true(drawn[0] != drawn[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes_differ), /* first: before this process has a seed */
        cmocka_unit_test(test_bounds_and_spread),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
