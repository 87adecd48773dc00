/* target: defaults that conninfo leaves open, several hosts, and names that are looked up on a
 * thread. */
#include "db/target.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const char *value(const struct target *target, const char *keyword)
{
    for (size_t i = 0; i < target->count; i++)
        if (strcmp(target->keywords[i], keyword) == 0)
            return target->values[i];
    return NULL;
}

static void check(const struct target *target, const char *keyword, const char *wanted)
{
    const char *found = value(target, keyword);
    if (wanted && found)
        assert_string_equal(found, wanted);
    else
        assert_true(!wanted && !found);
}

static void init(struct target *target, const char *conninfo)
{
    struct err err = {0};
    if (!target_init(target, conninfo, "errand test", &err))
        fail_msg("%s", err.text);
}

static int clear_environment(void **state)
{
    static const char *const names[] = {"PGHOST", "PGHOSTADDR", "PGPORT", "PGTARGETSESSIONATTRS",
                                        "PGSERVICE"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

static void test_defaults(void **state)
{
    (void)state;
    struct target target;
    init(&target, "host=127.0.0.1 dbname=x");
    check(&target, "host", "127.0.0.1");
    check(&target, "dbname", "x");
    check(&target, "application_name", "errand test");
    check(&target, "keepalives_idle", "10");
    check(&target, "keepalives_interval", "5");
    check(&target, "keepalives_count", "3");
    check(&target, "tcp_user_timeout", "15000");
    check(&target, "target_session_attrs", NULL);
    assert_null(target.keywords[target.count]);
    assert_null(target.hosts);
    target_clear(&target);
}

static void test_what_is_given_counts(void **state)
{
    (void)state;
    struct target target;
    init(&target,
         "postgresql://u:p%40ss@10.0.0.1:6000,10.0.0.2/db?keepalives_idle=77&application_name=mine"
         "&target_session_attrs=any&tcp_user_timeout=1");
    check(&target, "host", "10.0.0.1,10.0.0.2");
    check(&target, "port", "6000,");
    check(&target, "password", "p@ss");
    check(&target, "keepalives_idle", "77");
    check(&target, "keepalives_interval", "5");
    check(&target, "application_name", "mine");
    check(&target, "target_session_attrs", "any");
    check(&target, "tcp_user_timeout", "1");
    target_clear(&target);
}

static void test_several_hosts_want_the_one_that_writes(void **state)
{
    (void)state;
    struct target target;
    init(&target, "host=10.0.0.1,10.0.0.2");
    check(&target, "target_session_attrs", "read-write");
    target_clear(&target);
    setenv("PGTARGETSESSIONATTRS", "any", 1);
    init(&target, "host=10.0.0.1,10.0.0.2");
    check(&target, "target_session_attrs", NULL); /* libpq takes the environment's */
    target_clear(&target);
}

static void test_host_of_the_environment(void **state)
{
    (void)state;
    struct target target;
    setenv("PGHOST", "somewhere.invalid", 1);
    setenv("PGPORT", "7000", 1);
    init(&target, "");
    check(&target, "host", "somewhere.invalid");
    assert_string_equal(target.hosts, "somewhere.invalid");
    assert_string_equal(target.ports, "7000");
    target_clear(&target);
    init(&target, "host=/tmp");
    check(&target, "host", "/tmp");
    assert_null(target.hosts);
    target_clear(&target);
    init(&target, NULL);
    check(&target, "host", "somewhere.invalid");
    target_clear(&target);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"hots=x", "host", "postgresql://[::1/x", "host='x",
                                      "postgresql://h/d?nosuch=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct target target;
        struct err err = {0};
        assert_false(target_init(&target, bad[i], "errand test", &err));
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(strncmp(err.text, "database_url: ", 14), 0);
        target_clear(&target);
    }
}

/* ---- Names ---- */

struct waiting {
    struct loop *loop;
    int done;
};

static void on_done(void *owner)
{
    struct waiting *waiting = owner;
    waiting->done++;
    loop_stop(waiting->loop);
}

static void on_guard(void *owner)
{
    (void)owner;
    fail_msg("not resolved within 20 s");
}

/* True when a thread was needed. */
static bool resolve(struct target *target)
{
    struct loop loop;
    struct loop_timer guard;
    struct waiting waiting = {.loop = &loop};
    struct err err = {0};
    bool at_once = false;
    loop_init(&loop);
    loop_timer_init(&guard, &loop, on_guard, NULL);
    loop_timer_set(&guard, clock_mono_us() + 20000000);
    assert_true(target_resolve(target, &loop, on_done, &waiting, &at_once, &err));
    assert_int_equal(waiting.done, 0);
    if (!at_once) {
        loop_run(&loop);
        assert_int_equal(waiting.done, 1);
    }
    loop_timer_stop(&guard);
    loop_clear(&loop);
    return !at_once;
}

static void test_nothing_to_look_up(void **state)
{
    (void)state;
    static const char *const conninfos[] = {"",
                                            "dbname=x",
                                            "host=/tmp",
                                            "host=@abstract",
                                            "host=127.0.0.1",
                                            "host=::1",
                                            "host=127.0.0.1,/tmp,::1",
                                            "host=localhost hostaddr=127.0.0.1",
                                            "postgresql://[::1]:5433/x"};
    for (size_t i = 0; i < sizeof conninfos / sizeof *conninfos; i++) {
        struct target target;
        init(&target, conninfos[i]);
        assert_false(resolve(&target));
        assert_string_equal(target_resolve_error(&target), "");
        target_clear(&target);
    }
}

static size_t count_commas(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == ',';
    return count;
}

/* Each address of a name is an element of its own in all three lists. */
static void check_lists(const struct target *target)
{
    size_t commas = count_commas(value(target, "hostaddr"));
    assert_int_equal(count_commas(value(target, "host")), commas);
    assert_int_equal(count_commas(value(target, "port")), commas);
}

static bool is_loopback_list(const char *text)
{
    return strncmp(text, "127.0.0.1", 9) == 0 || strncmp(text, "::1", 3) == 0;
}

static void test_localhost(void **state)
{
    (void)state;
    struct target target;
    init(&target, "host=localhost port=6000");
    assert_true(resolve(&target));
    assert_string_equal(target_resolve_error(&target), "");
    assert_true(is_loopback_list(value(&target, "hostaddr")));
    assert_int_equal(strncmp(value(&target, "host"), "localhost", 9), 0);
    assert_int_equal(strncmp(value(&target, "port"), "6000", 4), 0);
    check_lists(&target);
    /* And again, from what was given: names move. */
    assert_true(resolve(&target));
    check_lists(&target);
    target_clear(&target);
}

static void test_names_among_addresses_and_sockets(void **state)
{
    (void)state;
    struct target target;
    init(&target, "host=10.0.0.9,localhost,/tmp port=1,2,3");
    assert_true(resolve(&target));
    check_lists(&target);
    assert_int_equal(strncmp(value(&target, "hostaddr"), "10.0.0.9,", 9), 0);
    assert_non_null(strstr(value(&target, "host"), ",/tmp"));
    const char *ports = value(&target, "port");
    assert_int_equal(strncmp(ports, "1,2", 3), 0);
    assert_string_equal(ports + strlen(ports) - 2, ",3");
    check(&target, "target_session_attrs", "read-write");
    target_clear(&target);
}

static void test_one_port_for_all(void **state)
{
    (void)state;
    struct target target;
    init(&target, "host=localhost,10.0.0.9 port=6000");
    assert_true(resolve(&target));
    check_lists(&target);
    for (const char *at = value(&target, "port"); at;
         at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        assert_int_equal(strncmp(at, "6000", 4), 0);
    target_clear(&target);
}

static void test_name_that_does_not_resolve_is_left_out(void **state)
{
    (void)state;
    struct target target;
    init(&target, "host=nosuch.invalid,127.0.0.1 port=1,2");
    assert_true(resolve(&target));
    assert_string_equal(target_resolve_error(&target), "");
    check(&target, "hostaddr", "127.0.0.1");
    check(&target, "port", "2");
    target_clear(&target);
}

static void test_no_name_resolves(void **state)
{
    (void)state;
    struct target target;
    init(&target, "host=nosuch.invalid,neither.invalid");
    assert_true(resolve(&target));
    assert_non_null(strstr(target_resolve_error(&target), "could not translate host name"));
    check(&target, "hostaddr", NULL);
    check(&target, "host", "nosuch.invalid,neither.invalid");
    target_clear(&target);
}

int main(void)
{
#define TARGET_TEST(test) cmocka_unit_test_setup(test, clear_environment)
    const struct CMUnitTest tests[] = {
        TARGET_TEST(test_defaults),
        TARGET_TEST(test_what_is_given_counts),
        TARGET_TEST(test_several_hosts_want_the_one_that_writes),
        TARGET_TEST(test_host_of_the_environment),
        TARGET_TEST(test_refused),
        TARGET_TEST(test_nothing_to_look_up),
        TARGET_TEST(test_localhost),
        TARGET_TEST(test_names_among_addresses_and_sockets),
        TARGET_TEST(test_one_port_for_all),
        TARGET_TEST(test_name_that_does_not_resolve_is_left_out),
        TARGET_TEST(test_no_name_resolves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
