/* httpd: answers that come later, too late, or to nobody; and heads, cut at every byte. */
#include "httpd/httpd.h"

#include "base/clock.h"
#include "httpd/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char post[] = "POST /hook?a=b HTTP/1.1\r\nHost: a\r\nX-Sign: s1\r\n"
                           "Content-Length: 5\r\n\r\nab\0cd";

static struct loop loop;
static struct httpd *server;
static struct httpd_request *held;
static char path[64], got[4096];
static size_t got_length;
static int quiet;

static void on_request(struct httpd_request *request, void *owner)
{
    (void)owner;
    assert_null(held);
    held = request;
}

static void on_quiet(void *owner)
{
    (void)owner;
    quiet++;
}

static int set_up(void **state)
{
    struct err err = {0};
    (void)state;
    held = NULL;
    quiet = 0;
    got_length = 0;
    loop_init(&loop);
    snprintf(path, sizeof path, "/tmp/errand-httpd-%ld", (long)getpid());
    const struct httpd_options options = {.listen = path,
                                          .deadline_ms = 400,
                                          .connections = 10,
                                          .connections_per_address = 10,
                                          .max_body = 100,
                                          .handle = on_request,
                                          .on_quiet = on_quiet};
    assert_true(httpd_new(&server, &loop, &options, &err));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (server)
        httpd_free(server);
    server = NULL;
    loop_clear(&loop);
    return 0;
}

static int client_new(const char *data, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, data, length), length);
    return fd;
}

static void on_time(void *owner)
{
    (void)owner;
    loop_stop(&loop);
}

/* Lets the loop turn for so long. */
static void turn(int ms)
{
    struct loop_timer timer;
    loop_timer_init(&timer, &loop, on_time, NULL);
    loop_timer_set(&timer, clock_mono_us() + ms * 1000);
    loop_run(&loop);
    loop_timer_stop(&timer);
}

/* All that the client was told; -1: the connection still stands. */
static int client_status(int fd)
{
    int status = -1;
    ssize_t n;
    while ((n = recv(fd, got + got_length, sizeof got - 1 - got_length, MSG_DONTWAIT)) > 0)
        got_length += (size_t)n;
    got[got_length] = '\0';
    if (n == 0 && sscanf(got, "HTTP/1.1 %d", &status) != 1)
        status = 0;
    return status;
}

static void test_answer_later(void **state)
{
    (void)state;
    int fd = client_new(post, sizeof post - 1);
    turn(50);
    assert_non_null(held);
    assert_string_equal(held->method, "POST");
    assert_string_equal(held->path, "/hook");
    assert_int_equal(held->body_length, 5);
    assert_memory_equal(held->body, "ab\0cd", 6);
    assert_string_equal(httpd_request_header(held, "x-sign"), "s1");
    assert_null(httpd_request_header(held, "x-other"));
    turn(100);
    assert_int_equal(client_status(fd), -1);
    httpd_answer(held, &(struct httpd_answer){.status = 202, .body = "well", .length = 4});
    turn(50);
    assert_int_equal(client_status(fd), 202);
    assert_string_equal(got + got_length - 4, "well");
    close(fd);
}

static void test_answer_too_late(void **state)
{
    (void)state;
    int fd = client_new(post, sizeof post - 1);
    turn(600);
    assert_non_null(held);
    assert_int_equal(client_status(fd), 503);
    close(fd);
    turn(20);
    httpd_answer(held, &(struct httpd_answer){.status = 202, .body = "", .length = 0});
    turn(20);
}

static void test_client_that_does_not_wait(void **state)
{
    (void)state;
    int fd = client_new(post, sizeof post - 1);
    turn(50);
    assert_non_null(held);
    close(fd);
    turn(20);
    httpd_answer(held, &(struct httpd_answer){.status = 202, .body = "", .length = 0});
    turn(50);
    httpd_stop(server);
    turn(20);
    assert_int_equal(quiet, 1);
}

static void test_stop_waits_for_the_answer(void **state)
{
    (void)state;
    int fd = client_new(post, sizeof post - 1);
    turn(50);
    assert_non_null(held);
    httpd_stop(server);
    turn(50);
    assert_int_equal(quiet, 0);
    assert_int_equal(access(path, F_OK), -1);
    httpd_answer(held, &(struct httpd_answer){.status = 202, .body = "", .length = 0});
    turn(50);
    assert_int_equal(client_status(fd), 202);
    assert_int_equal(quiet, 1);
    close(fd);
}

static void test_answer_after_the_server(void **state)
{
    (void)state;
    int fd = client_new(post, sizeof post - 1);
    turn(50);
    assert_non_null(held);
    httpd_free(server);
    server = NULL;
    assert_int_not_equal(client_status(fd), -1);
    httpd_answer(held, &(struct httpd_answer){.status = 202, .body = "", .length = 0});
    close(fd);
}

static void test_head_in_pieces(void **state)
{
    size_t whole = sizeof post - 1 - 5;
    (void)state;
    for (size_t length = 0; length < whole; length++) {
        struct head_verdict verdict = head_judge(post, length, 100);
        assert_false(verdict.complete);
        assert_int_equal(verdict.status, 0);
    }
    for (size_t length = whole; length < sizeof post; length++) {
        struct head_verdict verdict = head_judge(post, length, 100);
        assert_true(verdict.complete);
        assert_int_equal(verdict.status, 0);
    }
    assert_int_equal(head_judge(post, whole, 4).status, 413);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer_too_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_that_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_waits_for_the_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer_after_the_server, set_up, tear_down),
        cmocka_unit_test(test_head_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
