/* A request with public_only: nothing reaches an address that is not public, whatever leads there.
 */
#include "http/http.h"

#include "support/http_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop loop;
static struct http *http;
static int server_fd, server_port;

static void on_done(struct http_call *call, void *owner)
{
    (void)call, (void)owner;
    loop_stop(&loop);
}

static int set_up(void **state)
{
    (void)state;
    server_fd = http_peer_listen(&server_port);
    assert_int_equal(fcntl(server_fd, F_SETFL, O_NONBLOCK), 0);
    loop_init(&loop);
    http = http_new(&loop);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_free(http);
    loop_clear(&loop);
    close(server_fd);
    return 0;
}

static bool server_was_connected_to(void)
{
    int fd = accept(server_fd, NULL, NULL);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void run(const char *origin, bool public_only, size_t size, const char *error)
{
    char url[256];
    snprintf(url, sizeof url, "%s:%d/", origin, server_port);
    struct errand_request request = {
        .size = size, .method = "POST", .url = url, .timeout_ms = 300, .public_only = public_only};
    struct http_call *call = http_start(http, &request, on_done, NULL);
    loop_run(&loop);
    const struct http_answer *answer = http_call_answer(call);
    if (error) {
        assert_int_equal(answer->result, ERRAND_HTTP_NOT_SENT);
        assert_int_equal(answer->status, 0);
        if (!strstr(answer->error, error))
            fail_msg("%s: %s", url, answer->error);
    }
    http_call_free(call);
}

static void check_refused(const char *origin, const char *error)
{
    run(origin, true, sizeof(struct errand_request), error);
    assert_false(server_was_connected_to());
}

static void test_addresses(void **state)
{
    (void)state;
    check_refused("https://127.0.0.1", "127.0.0.1 is loopback: this request may go to public");
    check_refused("https://2130706433", "127.0.0.1 is loopback"); /* the same as a number */
    check_refused("https://0x7f.1", "127.0.0.1 is loopback");
    check_refused("https://0.0.0.0", "0.0.0.0 is unspecified");
    check_refused("https://10.1.2.3", "10.1.2.3 is private");
    check_refused("https://169.254.169.254", "169.254.169.254 is link-local");
    check_refused("https://[::ffff:127.0.0.1]", "::ffff:127.0.0.1 is an IPv4 address mapped");
    check_refused("https://[fd00::1]", "fd00::1 is unique local");
}

/* What counts is where it goes in the end, not the name. */
static void test_names(void **state)
{
    (void)state;
    check_refused("https://localhost", " is loopback");
    check_refused("https://LOCALHOST", " is loopback");
}

static void test_only_https(void **state)
{
    (void)state;
    check_refused("http://127.0.0.1", "not https");
    check_refused("ftp://127.0.0.1", "not https");
}

/* A proxy of the environment would connect in errand's place. */
static void test_no_proxy(void **state)
{
    (void)state;
    char proxy[64];
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", server_port);
    setenv("https_proxy", proxy, 1);
    setenv("ALL_PROXY", proxy, 1);
    check_refused("https://10.1.2.3", "10.1.2.3 is private");
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
}

/* Who does not ask for it goes anywhere, and so does one who was built before there was a guard. */
static void test_others_go_on(void **state)
{
    (void)state;
    run("http://127.0.0.1", false, sizeof(struct errand_request), NULL);
    assert_true(server_was_connected_to());
    run("http://127.0.0.1", true, offsetof(struct errand_request, public_only), NULL);
    assert_true(server_was_connected_to());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_https, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_proxy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_go_on, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
