/* http: every way in which an exchange ends, against a small server (support/http_peer.h). What
 * matters most is whether a request may have been acted on. */
#include "http/http.h"

#include "base/clock.h"
#include "support/http_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 60 };

/* ---- The client ---- */

static struct loop loop;
static struct http *http;
static struct loop_timer guard;
static int ended, wanted;

static void on_guard(void *owner)
{
    (void)owner;
    fail_msg("the exchange has not ended within 20 s");
}

static void on_done(struct http_call *call, void *owner)
{
    struct http_call **expected = owner;
    assert_ptr_equal(call, *expected);
    if (++ended == wanted)
        loop_stop(&loop);
}

static int set_up(void **state)
{
    (void)state;
    loop_init(&loop);
    http = http_new(&loop);
    loop_timer_init(&guard, &loop, on_guard, NULL);
    loop_timer_set(&guard, clock_mono_us() + 20000000);
    ended = 0;
    wanted = 1;
    atomic_store(&http_peer_requests, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_timer_stop(&guard);
    http_free(http);
    loop_clear(&loop);
    return 0;
}

static char url_text[256];

static struct errand_request request_to(const char *path)
{
    snprintf(url_text, sizeof url_text, "http://127.0.0.1:%d%s", http_peer_port, path);
    return (struct errand_request){.size = sizeof(struct errand_request),
                                   .method = "POST",
                                   .url = url_text,
                                   .body = "hello",
                                   .body_bytes = 5};
}

/* The call, ended; the caller frees it. */
static struct http_call *run(const struct errand_request *request)
{
    static struct http_call *call;
    call = http_start(http, request, on_done, &call);
    assert_int_equal(ended, 0); /* never inside the call */
    loop_run(&loop);
    assert_int_equal(ended, 1);
    return call;
}

static void check_failed(const struct errand_request *request, enum errand_http_result result,
                         int requests)
{
    struct http_call *call = run(request);
    const struct http_answer *answer = http_call_answer(call);
    assert_int_equal(answer->result, result);
    assert_true(answer->error[0] != '\0');
    assert_null(strchr(answer->error, '\n'));
    assert_int_equal(atomic_load(&http_peer_requests), requests);
    http_call_free(call);
}

/* ---- Answers ---- */

static void test_request_as_it_was_given(void **state)
{
    (void)state;
    char body[] = "a\0b{}";
    char value[] = "Bearer x";
    struct errand_header headers[] = {{"Authorization", value},
                                      {"Content-Type", "application/json"}};
    struct errand_request request = request_to("/echo?q=1%20&x");
    request.method = "PUT";
    request.headers = headers;
    request.header_count = 2;
    request.body = body;
    request.body_bytes = 5;
    static struct http_call *call;
    call = http_start(http, &request, on_done, &call);
    /* Everything was copied. */
    memset(body, 'z', sizeof body);
    memset(value, 'z', sizeof value - 1);
    memset(url_text, 'z', sizeof url_text - 1);
    loop_run(&loop);
    const struct http_answer *answer = http_call_answer(call);
    assert_int_equal(answer->result, ERRAND_HTTP_OK);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->error, "");
    assert_int_equal(strncmp(answer->body, "PUT /echo?q=1%20&x HTTP/1.1\r\n", 29), 0);
    assert_non_null(strstr(answer->body, "\r\nAuthorization: Bearer x\r\n"));
    assert_non_null(strstr(answer->body, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(answer->body, "\r\nUser-Agent: errand/"));
    assert_non_null(strstr(answer->body, "\r\nContent-Length: 5\r\n"));
    assert_null(strstr(answer->body, "Expect:"));
    assert_memory_equal(answer->body + answer->body_bytes - 5, "a\0b{}", 5);
    assert_int_equal(answer->body[answer->body_bytes], '\0');
    http_call_free(call);
}

static void test_own_user_agent(void **state)
{
    (void)state;
    struct errand_header header = {"user-agent", "mine"};
    struct errand_request request = request_to("/echo");
    request.headers = &header;
    request.header_count = 1;
    struct http_call *call = run(&request);
    assert_non_null(strstr(http_call_answer(call)->body, "ser-agent: mine\r\n"));
    assert_null(strstr(http_call_answer(call)->body, "errand/"));
    http_call_free(call);
}

static void test_get_has_no_body(void **state)
{
    (void)state;
    struct errand_request request = request_to("/echo");
    request.method = "GET";
    request.body = NULL;
    request.body_bytes = 0;
    struct http_call *call = run(&request);
    assert_int_equal(strncmp(http_call_answer(call)->body, "GET /echo ", 10), 0);
    assert_null(strcasestr(http_call_answer(call)->body, "content-length"));
    http_call_free(call);
}

static void test_large_request_body(void **state)
{
    (void)state;
    enum { BYTES = 500000 };
    char *body = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        body[i] = (char)('a' + i % 23);
    struct errand_request request = request_to("/echo");
    request.body = body;
    request.body_bytes = BYTES;
    struct http_call *call = run(&request);
    const struct http_answer *answer = http_call_answer(call);
    assert_int_equal(answer->result, ERRAND_HTTP_OK);
    assert_memory_equal(answer->body + answer->body_bytes - BYTES, body, BYTES);
    http_call_free(call);
    free(body);
}

static void test_answer_without_body(void **state)
{
    (void)state;
    struct errand_request request = request_to("/empty");
    struct http_call *call = run(&request);
    assert_int_equal(http_call_answer(call)->result, ERRAND_HTTP_OK);
    assert_int_equal(http_call_answer(call)->status, 204);
    assert_string_equal(http_call_answer(call)->body, "");
    assert_int_equal(http_call_answer(call)->body_bytes, 0);
    http_call_free(call);
}

static void test_any_status_is_an_answer(void **state)
{
    (void)state;
    struct errand_request request = request_to("/busy");
    struct http_call *call = run(&request);
    assert_int_equal(http_call_answer(call)->result, ERRAND_HTTP_OK);
    assert_int_equal(http_call_answer(call)->status, 503);
    assert_string_equal(http_call_answer(call)->body, "busy");
    assert_string_equal(http_call_header(call, "retry-after"), "7");
    http_call_free(call);
}

static void test_redirects_are_not_followed(void **state)
{
    (void)state;
    struct errand_request request = request_to("/moved");
    struct http_call *call = run(&request);
    assert_int_equal(http_call_answer(call)->status, 302);
    assert_string_equal(http_call_header(call, "Location"), "/echo");
    assert_int_equal(atomic_load(&http_peer_requests), 1);
    http_call_free(call);
}

static void test_headers(void **state)
{
    (void)state;
    struct errand_request request = request_to("/echo");
    struct http_call *call = run(&request);
    assert_string_equal(http_call_header(call, "x-test"), "two"); /* the last one, without case */
    assert_string_equal(http_call_header(call, "X-EMPTY"), "");
    assert_null(http_call_header(call, "x-tes"));
    assert_null(http_call_header(call, "x-test:"));
    assert_null(http_call_header(call, "HTTP/1.1 200 OK"));
    assert_null(http_call_header(call, ""));
    http_call_free(call);
}

static void test_headers_are_of_the_last_answer(void **state)
{
    (void)state;
    struct errand_request request = request_to("/continue");
    struct http_call *call = run(&request);
    assert_int_equal(http_call_answer(call)->status, 200);
    assert_string_equal(http_call_header(call, "X-Other"), "late");
    assert_null(http_call_header(call, "X-Test"));
    http_call_free(call);
}

/* ---- Not sent ---- */

static void test_refused_connection(void **state)
{
    (void)state;
    int port, fd = http_peer_listen(&port);
    close(fd);
    struct errand_request request = request_to("/echo");
    snprintf(url_text, sizeof url_text, "http://127.0.0.1:%d/echo", port);
    check_failed(&request, ERRAND_HTTP_NOT_SENT, 0);
}

static void test_name_that_does_not_resolve(void **state)
{
    (void)state;
    struct errand_request request = request_to("/echo");
    request.url = "http://nosuch.invalid/";
    request.timeout_ms = 3000;
    check_failed(&request, ERRAND_HTTP_NOT_SENT, 0);
}

static void test_urls_that_are_none(void **state)
{
    (void)state;
    static const char *const urls[] = {"",
                                       "no url",
                                       "ftp://127.0.0.1/x",
                                       "file:///etc/passwd",
                                       "http://",
                                       "http://127.0.0.1:99999/"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct errand_request request = request_to("/echo");
        request.url = urls[i];
        request.timeout_ms = 3000;
        ended = 0;
        check_failed(&request, ERRAND_HTTP_NOT_SENT, 0);
    }
}

/* TLS with somebody who speaks none: no request has left. */
static void test_no_tls_on_the_other_side(void **state)
{
    (void)state;
    struct errand_request request = request_to("/echo");
    snprintf(url_text, sizeof url_text, "https://127.0.0.1:%d/echo", http_peer_port);
    request.timeout_ms = 1000;
    check_failed(&request, ERRAND_HTTP_NOT_SENT, 0);
}

/* ---- Sent, and the outcome is not known ---- */

static void test_closed_without_an_answer(void **state)
{
    (void)state;
    struct errand_request request = request_to("/close");
    check_failed(&request, ERRAND_HTTP_LOST, 1);
}

static void test_half_an_answer(void **state)
{
    (void)state;
    struct errand_request request = request_to("/half");
    check_failed(&request, ERRAND_HTTP_LOST, 1);
}

/* libcurl calls that well; but what the rest would have said nobody knows. */
static void test_half_a_header(void **state)
{
    (void)state;
    struct errand_request request = request_to("/head-only");
    check_failed(&request, ERRAND_HTTP_LOST, 1);
}

static void test_garbage(void **state)
{
    (void)state;
    struct errand_request request = request_to("/garbage");
    check_failed(&request, ERRAND_HTTP_LOST, 1);
}

static void test_timeout(void **state)
{
    (void)state;
    static const char *const paths[] = {"/silent", "/drip"};
    for (int i = 0; i < 2; i++) {
        struct errand_request request = request_to(paths[i]);
        request.timeout_ms = 200;
        int64_t begun_us = clock_mono_us();
        ended = 0;
        check_failed(&request, ERRAND_HTTP_TIMEOUT, i + 1);
        assert_in_range(clock_mono_us() - begun_us, 190000, 3000000);
    }
}

/* ---- Too large ---- */

static void test_body_that_is_too_large(void **state)
{
    (void)state;
    struct errand_request request = request_to("/big");
    check_failed(&request, ERRAND_HTTP_TOO_LARGE, 1); /* by default 1 MiB */
    request.max_response_bytes = 1000;
    ended = 0;
    check_failed(&request, ERRAND_HTTP_TOO_LARGE, 2);
}

static void test_body_of_exactly_the_maximum(void **state)
{
    (void)state;
    struct errand_request request = request_to("/big");
    request.max_response_bytes = HTTP_PEER_BIG_BYTES;
    struct http_call *call = run(&request);
    assert_int_equal(http_call_answer(call)->result, ERRAND_HTTP_OK);
    assert_int_equal(http_call_answer(call)->body_bytes, HTTP_PEER_BIG_BYTES);
    http_call_free(call);
    request.max_response_bytes = HTTP_PEER_BIG_BYTES - 1;
    ended = 0;
    check_failed(&request, ERRAND_HTTP_TOO_LARGE, 2);
}

static void test_headers_that_are_too_large(void **state)
{
    (void)state;
    struct errand_request request = request_to("/headers");
    struct http_call *call = run(&request);
    assert_int_not_equal(http_call_answer(call)->result, ERRAND_HTTP_OK);
    assert_int_not_equal(http_call_answer(call)->result, ERRAND_HTTP_NOT_SENT);
    http_call_free(call);
}

/* ---- Ending early, and many ---- */

static void on_never(struct http_call *call, void *owner)
{
    (void)call, (void)owner;
    fail_msg("an ended call must not be told of");
}

static void test_freed_while_under_way(void **state)
{
    (void)state;
    struct errand_request request = request_to("/silent");
    struct http_call *never = http_start(http, &request, on_never, NULL);
    request = request_to("/echo");
    struct http_call *first = run(&request);
    http_call_free(never);
    http_call_free(first);
    /* And at once, before anything has happened. */
    request = request_to("/echo");
    http_call_free(http_start(http, &request, on_never, NULL));
    ended = 0;
    request = request_to("/echo");
    http_call_free(run(&request));
    while (atomic_load(&http_peer_requests) < 3) /* "/silent" must not count for the next test */
        sched_yield();
}

static void test_many_at_once(void **state)
{
    (void)state;
    static struct http_call *calls[MANY];
    wanted = MANY;
    for (int i = 0; i < MANY; i++) {
        struct errand_request request = request_to(i % 3 ? "/echo" : "/close");
        calls[i] = http_start(http, &request, on_done, &calls[i]);
    }
    loop_run(&loop);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(http_call_answer(calls[i])->result,
                         i % 3 ? ERRAND_HTTP_OK : ERRAND_HTTP_LOST);
        http_call_free(calls[i]);
    }
    assert_int_equal(atomic_load(&http_peer_requests), MANY);
}

static void start_kept(struct http_call **calls, int from, int to)
{
    for (int i = from; i < to; i++) {
        struct errand_request request = request_to("/keep");
        calls[i] = http_start(http, &request, on_done, &calls[i]);
    }
}

/* As many connections as waited at once, however many requests there are. */
static void test_connections_are_used_again(void **state)
{
    (void)state;
    enum { AT_ONCE = 100 };
    static struct http_call *calls[3 * AT_ONCE];
    atomic_store(&http_peer_connections, 0);
    for (int round = 0; round < 3; round++) {
        ended = 0;
        wanted = AT_ONCE;
        start_kept(calls, round * AT_ONCE, (round + 1) * AT_ONCE);
        loop_run(&loop);
    }
    for (int i = 0; i < 3 * AT_ONCE; i++) {
        assert_int_equal(http_call_answer(calls[i])->result, ERRAND_HTTP_OK);
        http_call_free(calls[i]);
    }
    assert_int_equal(atomic_load(&http_peer_requests), 3 * AT_ONCE);
    assert_int_equal(atomic_load(&http_peer_connections), AT_ONCE);
}

/* What one request has set is nothing to the next that takes its place. */
static void test_nothing_of_the_request_before(void **state)
{
    (void)state;
    struct errand_header header = {"Authorization", "Bearer x"};
    struct errand_request request = request_to("/keep");
    request.method = "PUT";
    request.headers = &header;
    request.header_count = 1;
    http_call_free(run(&request));
    request = request_to("/keep");
    request.public_only = true;
    ended = 0;
    check_failed(&request, ERRAND_HTTP_NOT_SENT, 1);
    request = request_to("/keep");
    request.method = "GET";
    request.body_bytes = 0;
    ended = 0;
    struct http_call *call = run(&request);
    const char *text = http_call_answer(call)->body;
    assert_int_equal(strncmp(text, "GET /keep ", 10), 0);
    assert_null(strstr(text, "Bearer"));
    assert_null(strcasestr(text, "content-length"));
    http_call_free(call);
}

/* A client that was never asked for anything is freed by tear_down. */
static void test_unused(void **state)
{
    (void)state;
    assert_non_null(http);
}

int main(void)
{
#define HTTP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_unused),
        HTTP_TEST(test_request_as_it_was_given),
        HTTP_TEST(test_own_user_agent),
        HTTP_TEST(test_get_has_no_body),
        HTTP_TEST(test_large_request_body),
        HTTP_TEST(test_answer_without_body),
        HTTP_TEST(test_any_status_is_an_answer),
        HTTP_TEST(test_redirects_are_not_followed),
        HTTP_TEST(test_headers),
        HTTP_TEST(test_headers_are_of_the_last_answer),
        HTTP_TEST(test_refused_connection),
        HTTP_TEST(test_name_that_does_not_resolve),
        HTTP_TEST(test_urls_that_are_none),
        HTTP_TEST(test_no_tls_on_the_other_side),
        HTTP_TEST(test_closed_without_an_answer),
        HTTP_TEST(test_half_an_answer),
        HTTP_TEST(test_half_a_header),
        HTTP_TEST(test_garbage),
        HTTP_TEST(test_timeout),
        HTTP_TEST(test_body_that_is_too_large),
        HTTP_TEST(test_body_of_exactly_the_maximum),
        HTTP_TEST(test_headers_that_are_too_large),
        HTTP_TEST(test_freed_while_under_way),
        HTTP_TEST(test_many_at_once),
        HTTP_TEST(test_connections_are_used_again),
        HTTP_TEST(test_nothing_of_the_request_before),
    };
    return cmocka_run_group_tests(tests, http_peer_start, http_peer_stop);
}
