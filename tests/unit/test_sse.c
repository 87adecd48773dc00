/* sse: streams and the events in them, however the text is cut. */
#include "http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The events as text, one a line: type|data|id|retry. */
static void feed(struct sse *sse, struct buf *told, const char *text, size_t bytes)
{
    /* Exactly so much memory, so that the sanitizer sees every byte read past it. */
    char *copy = malloc(bytes ? bytes : 1);
    bool whole = false;
    memcpy(copy, text, bytes);
    for (size_t at = 0; at < bytes && !sse->too_large;) {
        at += sse_take(sse, copy + at, bytes - at, &whole);
        if (whole)
            buf_printf(told, "%s|%s|%s|%" PRId64 "\n", buf_text(&sse->type), buf_text(&sse->data),
                       buf_text(&sse->id), sse->retry_ms);
    }
    free(copy);
}

static char *events_of(const char *text, size_t bytes, const size_t *cuts, size_t cut_count)
{
    struct sse sse;
    struct buf told;
    size_t at = 0;
    sse_init(&sse, 1000);
    buf_init(&told, 0);
    for (size_t i = 0; i < cut_count; at = cuts[i++])
        feed(&sse, &told, text + at, cuts[i] - at);
    feed(&sse, &told, text + at, bytes - at);
    sse_clear(&sse);
    return buf_steal(&told);
}

static void check(const char *text, size_t bytes, const char *expected, const size_t *cuts,
                  size_t cut_count)
{
    char *events = events_of(text, bytes, cuts, cut_count);
    assert_string_equal(events, expected);
    free(events);
}

/* Whole, byte by byte, and cut in three at every two places. */
static void check_stream(const char *text, size_t bytes, const char *expected)
{
    size_t *every = calloc(bytes + 1, sizeof *every);
    for (size_t i = 0; i < bytes; i++)
        every[i] = i;
    check(text, bytes, expected, NULL, 0);
    check(text, bytes, expected, every, bytes);
    for (size_t i = 0; i <= bytes; i++)
        for (size_t j = i; j <= bytes; j++)
            check(text, bytes, expected, (size_t[]){i, j}, 2);
    free(every);
}

#define STREAM(text, expected) check_stream(text, sizeof(text) - 1, expected)

static void test_line_ends(void **state)
{
    (void)state;
    STREAM("data: a\n\ndata: b\n\n", "|a||-1\n|b||-1\n");
    STREAM("data: a\r\n\r\ndata: b\r\n\r\n", "|a||-1\n|b||-1\n");
    STREAM("data: a\r\rdata: b\r\r", "|a||-1\n|b||-1\n");
    STREAM("data: a\n\r\ndata: b\r\n\rdata: c\r\n\n", "|a||-1\n|b||-1\n|c||-1\n");
    STREAM("\n\n\r\n\r\rdata: a\n\n\n\n", "|a||-1\n");
}

static void test_fields(void **state)
{
    (void)state;
    STREAM("event: delta\nid: 7\nretry: 1500\ndata: x\n\ndata: y\n\n", "delta|x|7|1500\n|y|7|-1\n");
    STREAM("data\n\ndata:\n\ndata: \n\n", "|||-1\n|||-1\n|||-1\n");
    STREAM("data:a\ndata:  b\ndata\n\n", "|a\n b\n||-1\n");
    STREAM("event: one\nevent: two\ndata: x: y\n\n", "two|x: y||-1\n");
    STREAM("event: nothing\n\ndata: x\n\n", "|x||-1\n"); /* no data: no event, and no type left */
    STREAM("id: 1\n\ndata: x\n\nid\ndata: y\n\n", "|x|1|-1\n|y||-1\n");
    STREAM("retry: 10\n\ndata: x\n\ndata: y\n\n", "|x||10\n|y||-1\n");
    STREAM("retry: 1e3\nretry:\nretry: -1\nretry: 9999999999999999\ndata: x\n\n", "|x||-1\n");
    STREAM("Data: x\nother: y\n data: z\ndatas: a\ndata: b\n\n", "|b||-1\n");
}

static void test_nul_in_an_id(void **state)
{
    (void)state;
    STREAM("id: 1\nid: 2\0\ndata: x\n\n", "|x|1|-1\n");
}

static void test_comments(void **state)
{
    (void)state;
    STREAM(": ping\n\n:\n\ndata: x\n: between\ndata: y\n\n", "|x\ny||-1\n");
}

static void test_byte_order_mark(void **state)
{
    (void)state;
    STREAM("\xEF\xBB\xBF"
           "data: x\n\n",
           "|x||-1\n");
    STREAM("\xEF\xBB\xBF\ndata: x\n\n", "|x||-1\n");
    STREAM("data: x\n\n\xEF\xBB\xBF"
           "data: y\n\n",
           "|x||-1\n"); /* only at the beginning */
    STREAM("\xEF\xBB"
           "data: x\n\n",
           "");
}

static void test_what_providers_send(void **state)
{
    (void)state;
    STREAM("data: {\"choices\":[]}\n\ndata: [DONE]\n\n", "|{\"choices\":[]}||-1\n|[DONE]||-1\n");
    STREAM("event: ping\ndata: {\"type\": \"ping\"}\n\n", "ping|{\"type\": \"ping\"}||-1\n");
}

/* An event that the stream's end cuts off is none. */
static void test_no_end(void **state)
{
    (void)state;
    STREAM("data: a\n\ndata: b\n", "|a||-1\n");
    STREAM("data: a", "");
    STREAM("data: a\r", "");
}

static void check_cap(const char *text, bool too_large)
{
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct sse sse;
        struct buf told;
        sse_init(&sse, 16);
        buf_init(&told, 0);
        feed(&sse, &told, text, cut);
        feed(&sse, &told, text + cut, strlen(text) - cut);
        assert_int_equal(sse.too_large, too_large);
        sse_clear(&sse);
        buf_clear(&told);
    }
}

static void test_size(void **state)
{
    (void)state;
    check_cap("data: 0123456789\n\ndata: 0123456789\n\n", false);
    check_cap("data: 01234567890\n\n", true);
    check_cap("data: 012\ndata: 012\ndata: 01\n\n", false);
    check_cap("data: 012\ndata: 012\ndata: 0123\n\n", true);
    check_cap(":0123456789012345", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_ends),       cmocka_unit_test(test_fields),
        cmocka_unit_test(test_nul_in_an_id),    cmocka_unit_test(test_comments),
        cmocka_unit_test(test_byte_order_mark), cmocka_unit_test(test_what_providers_send),
        cmocka_unit_test(test_no_end),          cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
