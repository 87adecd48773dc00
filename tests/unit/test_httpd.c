/* httpd: answers that come later, too late, or to nobody; and heads, cut at every byte. */
#include "httpd/httpd.h"

#include "base/clock.h"
#include "httpd/server.h"

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

static void check_headers(const struct httpd_header *headers, const char *expected)
{
    char text[256] = "";
    for (const struct httpd_header *at = headers; at; at = at->next)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s ", at->name, at->value);
    assert_string_equal(text, expected);
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
    check_headers(held->headers, "Host=a X-Sign=s1 Content-Length=5 ");
    turn(100);
    assert_int_equal(client_status(fd), -1);
    httpd_answer(held, &(struct httpd_answer){.status = 202, .body = "well", .length = 4});
    turn(50);
    assert_int_equal(client_status(fd), 202);
    assert_string_equal(got + got_length - 4, "well");
    close(fd);
}

/* A process that is being forked holds the socket of a connection that is closed meanwhile. */
static void test_what_is_closed_is_not_watched(void **state)
{
    (void)state;
    int fd = client_new("GET", 3);
    turn(20);
    assert_non_null(server->conns);
    int other = dup(server->conns->fd);
    shutdown(fd, SHUT_WR);
    turn(20);
    assert_null(server->conns);
    close(fd); /* which is an event of that socket */
    turn(20);
    close(other);
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

#define LINE "POST /hook HTTP/1.1\r\n"
#define FIELDS "Host: a\r\nContent-Length: 12\r\n"

static void test_what_follows_a_head(void **state)
{
    static const struct {
        const char *head;
        size_t body_bytes;
        bool is_plain, keeps;
    } cases[] = {
        {LINE FIELDS "\r\n", 12, true, true},
        {LINE "Host: a\r\n\r\n", 0, true, true},
        {LINE FIELDS "connection: Keep-Alive\r\n\r\n", 12, true, true},
        {LINE FIELDS "Connection: close\r\n\r\n", 12, true, false},
        {LINE FIELDS "Connection: keep-alive, close\r\n\r\n", 12, true, false},
        {LINE FIELDS "Connection: keep-alive\r\nConnection: close\r\n\r\n", 12, true, false},
        {LINE FIELDS "Connection: Upgrade\r\n\r\n", 12, true, false},
        {LINE FIELDS "Expect: 100-continue\r\n\r\n", 12, false, true},
        {LINE "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n", 0, false, true},
        {"POST /hook HTTP/1.0\r\n" FIELDS "Connection: keep-alive\r\n\r\n", 12, true, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char data[256];
        size_t length = strlen(cases[i].head);
        memcpy(data, cases[i].head, length);
        strcpy(data + length, "POST /behind");
        struct head_verdict verdict = head_judge(data, length + 12, 100);
        assert_true(verdict.complete);
        assert_int_equal(verdict.head_bytes, length);
        assert_int_equal(verdict.body_bytes, cases[i].body_bytes);
        assert_int_equal(verdict.is_plain, cases[i].is_plain);
        assert_int_equal(verdict.keeps, cases[i].keeps);
    }
}

static bool see(struct sight *sight, char *data, size_t length)
{
    struct head_verdict verdict = head_judge(data, length, 100);
    assert_true(verdict.complete);
    assert_int_equal(verdict.status, 0);
    return sight_read(sight, data, &verdict);
}

static void test_a_request_at_sight(void **state)
{
    char data[] = "POST /hook?a=b%41 HTTP/1.1\r\nHost: a\r\nX-Sign:\t s: 1 \t\r\nX-Empty:\r\n"
                  "Content-Length: 5\r\n\r\nab\0cdGET / HTTP/1.1\r\n";
    char bare[] = "GET / HTTP/1.0\r\n\r\n", encoded[] = "GET /%41 HTTP/1.0\r\n\r\n";
    struct sight sight;
    (void)state;
    assert_true(see(&sight, data, sizeof data - 1));
    assert_string_equal(sight.request.method, "POST");
    assert_string_equal(sight.request.path, "/hook");
    check_headers(sight.request.headers, "Host=a X-Sign=s: 1 X-Empty= Content-Length=5 ");
    assert_int_equal(sight.request.body_length, 5);
    assert_memory_equal(sight.request.body, "ab\0cd", 6);
    assert_true(see(&sight, bare, sizeof bare - 1));
    assert_string_equal(sight.request.path, "/");
    assert_null(sight.request.headers);
    assert_int_equal(sight.request.body_length, 0);
    assert_false(see(&sight, encoded, sizeof encoded - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_follows_a_head),
        cmocka_unit_test(test_a_request_at_sight),
        cmocka_unit_test_setup_teardown(test_answer_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_closed_is_not_watched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer_too_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_that_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_waits_for_the_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer_after_the_server, set_up, tear_down),
        cmocka_unit_test(test_head_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
