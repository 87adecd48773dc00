/* Every row of the provider's error table, answers that are none of its, and random bytes. Bodies
 * that look like success and are not stand in bad/answer. */
#include "../answer.h"

#include "../address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int status;
    const char *name;
    enum answer_action single, batch;
    int64_t wait_ms;
} table[] = {
    {400, "invalid_idempotency_key", ANSWER_REFUSED, ANSWER_REFUSED, 0},
    {400, "validation_error", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {401, "missing_api_key", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {401, "restricted_api_key", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {403, "invalid_api_key", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {403, "suspended_api_key", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {403, "invalid_permission", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {403, "validation_error", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {404, "not_found", ANSWER_REFUSED, ANSWER_REFUSED, 0},
    {405, "method_not_allowed", ANSWER_REFUSED, ANSWER_REFUSED, 0},
    {409, "concurrent_idempotent_requests", ANSWER_BUSY, ANSWER_BUSY, 1000},
    {409, "resource_locked", ANSWER_BUSY, ANSWER_BUSY, 1000},
    {409, "invalid_idempotent_request", ANSWER_KEY_CONFLICT, ANSWER_KEY_CONFLICT, 0},
    {422, "missing_required_field", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {422, "missing_required_parameter", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {422, "invalid_attachment", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {422, "invalid_parameter", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {422, "invalid_from_address", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {429, "rate_limit_exceeded", ANSWER_RATE_LIMITED, ANSWER_RATE_LIMITED, 1000},
    {429, "daily_quota_exceeded", ANSWER_QUOTA, ANSWER_QUOTA, 3 * 3600000},
    {429, "monthly_quota_exceeded", ANSWER_QUOTA, ANSWER_QUOTA, 24 * 3600000},
    {500, "application_error", ANSWER_RETRY, ANSWER_RETRY, 0},
    {500, "internal_server_error", ANSWER_RETRY, ANSWER_RETRY, 0},
    {503, "service_unavailable", ANSWER_RETRY, ANSWER_RETRY, 0},
    /* none of the table's */
    {429, "yearly_quota_exceeded", ANSWER_QUOTA, ANSWER_QUOTA, 3 * 3600000},
    {301, "", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {400, "", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {402, "", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {404, "", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {405, "", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {407, "", ANSWER_BAD_KEY, ANSWER_BAD_KEY, 0},
    {408, "", ANSWER_RETRY, ANSWER_RETRY, 0},
    {409, "", ANSWER_RETRY, ANSWER_RETRY, 0},
    {413, "", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {421, "", ANSWER_RETRY, ANSWER_RETRY, 0},
    {423, "", ANSWER_RETRY, ANSWER_RETRY, 0},
    {425, "", ANSWER_RETRY, ANSWER_RETRY, 0},
    {429, "", ANSWER_RATE_LIMITED, ANSWER_RATE_LIMITED, 1000},
    {451, "security_error", ANSWER_REFUSED, ANSWER_SPLIT, 0},
    {502, "", ANSWER_RETRY, ANSWER_RETRY, 0},
    {0, "", ANSWER_RETRY, ANSWER_RETRY, 0},
    {199, "", ANSWER_RETRY, ANSWER_RETRY, 0},
    {999, "", ANSWER_RETRY, ANSWER_RETRY, 0},
};

static struct answer_input input_make(int status, const char *body, size_t items)
{
    return (struct answer_input){.transport = ANSWER_ARRIVED,
                                 .status = status,
                                 .body = body,
                                 .body_length = strlen(body),
                                 .batch = items > 0,
                                 .item_count = items ? items : 1,
                                 .now_s = 784111777};
}

static void table_check(size_t i, size_t items)
{
    char body[200];
    struct answer_input input;
    struct answer answer;
    snprintf(body, sizeof body, "{\"statusCode\":%d,\"message\":\"Some words\",\"name\":\"%s\"}",
             table[i].status, table[i].name);
    input = input_make(table[i].status, body, items);
    answer_read(&answer, &input);
    if (answer.action != (items > 1 ? table[i].batch : table[i].single) ||
        answer.wait_ms != table[i].wait_ms)
        fail_msg("%d %s: %s", table[i].status, table[i].name, answer_action_name(answer.action));
    assert_null(answer.items);
    if (table[i].status >= 300 && table[i].status < 600) {
        assert_non_null(strstr(answer.reason, "Some words"));
        assert_non_null(strstr(answer.reason, table[i].name));
    }
    assert_int_equal(strstr(answer.reason, "unknown") != NULL, answer.action == ANSWER_RETRY);
    answer_clear(&answer);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        table_check(i, 0);
        table_check(i, 1);
        table_check(i, 3);
    }
}

static void reason_check(int status, const char *body, const char *reason)
{
    struct answer_input input = input_make(status, body, 0);
    struct answer answer;
    answer_read(&answer, &input);
    assert_string_equal(answer.reason, reason);
    answer_clear(&answer);
}

static void test_reasons(void **state)
{
    (void)state;
    reason_check(422, "{\"name\":\"invalid_parameter\",\"message\":\"Bad\\nto `x`\"}",
                 "provider answered 422 invalid_parameter: Bad to `x`");
    reason_check(
        403, "{\"name\":\"validation_error\",\"message\":\"Domain not verified\"}",
        "provider answered 403 validation_error: Domain not verified; the sender's domain or "
        "the account may not send this");
    reason_check(
        409, "{\"name\":\"invalid_idempotent_request\",\"message\":\"m\"}",
        "provider answered 409 invalid_idempotent_request: m; another request was made with "
        "this key; an earlier send with it may have succeeded");
    reason_check(502, "<html>\r\n\x01<b>Bad\xFF</b>",
                 "provider answered 502: <html> <b>Bad?</b>; whether it was sent is unknown");
    reason_check(500, "", "provider answered 500; whether it was sent is unknown");
    reason_check(400, "{\"error\":\"nope\"}", "provider answered 400: nope");
}

static void action_check(const struct answer_input *input, enum answer_action action,
                         int64_t wait_ms)
{
    struct answer answer;
    answer_read(&answer, input);
    assert_string_equal(answer_action_name(answer.action), answer_action_name(action));
    assert_int_equal(answer.wait_ms, wait_ms);
    assert_true(answer.reason[0] != '\0');
    answer_clear(&answer);
}

static void test_transport(void **state)
{
    struct answer_input input = input_make(0, "", 0);
    (void)state;
    input.transport = ANSWER_NOT_CONNECTED;
    action_check(&input, ANSWER_NOT_SENT, 0);
    input.transport = ANSWER_LOST;
    input.body = NULL;
    action_check(&input, ANSWER_RETRY, 0);
    input = input_make(200, "{\"id\":\"x\"}", 0);
    input.transport = ANSWER_LOST;
    action_check(&input, ANSWER_RETRY, 0);
    input.transport = ANSWER_TOO_LARGE;
    action_check(&input, ANSWER_RETRY, 0);
    input.status = 422;
    action_check(&input, ANSWER_REFUSED, 0);
}

static void test_key_said_by_validation(void **state)
{
    struct answer_input input = input_make(
        400,
        "{\"statusCode\":400,\"message\":\"API key is invalid\",\"name\":\"validation_error\"}", 3);
    (void)state;
    action_check(&input, ANSWER_BAD_KEY, 0);
}

static void test_waits(void **state)
{
    struct answer_input input = input_make(429, "{\"name\":\"rate_limit_exceeded\"}", 0);
    (void)state;
    input.ratelimit_reset = "3";
    action_check(&input, ANSWER_RATE_LIMITED, 3000);
    input.retry_after = "0.5";
    action_check(&input, ANSWER_RATE_LIMITED, 500);
    input.retry_after = "Sun, 06 Nov 1994 08:49:39 GMT";
    action_check(&input, ANSWER_RATE_LIMITED, 2000);
    input.retry_after = "99999";
    action_check(&input, ANSWER_RATE_LIMITED, 3600000);
    input = input_make(429, "{\"name\":\"daily_quota_exceeded\"}", 0);
    input.retry_after = "1";
    action_check(&input, ANSWER_QUOTA, 3 * 3600000);
    input.retry_after = "40000";
    action_check(&input, ANSWER_QUOTA, 40000000);
    input = input_make(503, "", 0);
    input.retry_after = "7";
    action_check(&input, ANSWER_RETRY, 7000);
}

static void test_accepted(void **state)
{
    struct answer_input input = input_make(200, "{\"id\":\"49a3999c\"}", 0);
    struct answer answer;
    (void)state;
    input.ratelimit_limit = "10";
    input.ratelimit_remaining = "9";
    input.ratelimit_reset = "1";
    answer_read(&answer, &input);
    assert_int_equal(answer.action, ANSWER_ACCEPTED);
    assert_true(answer.items[0].accepted);
    assert_string_equal(answer.items[0].id, "49a3999c");
    assert_string_equal(answer.reason, "");
    assert_int_equal(answer.rate.remaining, 9);
    answer_clear(&answer);
    input = input_make(200, "{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"errors\":[]}", 2);
    answer_read(&answer, &input);
    assert_int_equal(answer.action, ANSWER_ACCEPTED);
    assert_string_equal(answer.items[0].id, "a");
    assert_string_equal(answer.items[1].id, "b");
    answer_clear(&answer);
}

static void test_permissive(void **state)
{
    struct answer_input input =
        input_make(200,
                   "{\"data\":[{\"id\":\"a\"},{\"id\":\"d\"}],\"errors\":[{\"index\":2,\"message\":"
                   "\"Bad \\u0007to\"},{\"index\":1,\"message\":\"\"}]}",
                   4);
    struct answer answer;
    (void)state;
    answer_read(&answer, &input);
    assert_int_equal(answer.action, ANSWER_ACCEPTED);
    assert_true(answer.items[0].accepted && answer.items[3].accepted);
    assert_false(answer.items[1].accepted || answer.items[2].accepted);
    assert_string_equal(answer.items[0].id, "a");
    assert_string_equal(answer.items[3].id, "d");
    assert_string_equal(answer.items[1].reason, "provider refused this mail of a batch");
    assert_string_equal(answer.items[2].reason, "provider refused this mail of a batch: Bad to");
    answer_clear(&answer);
}

static void test_long_words(void **state)
{
    char body[4000];
    struct answer_input input;
    struct answer answer;
    size_t used = (size_t)snprintf(body, sizeof body, "{\"name\":\"x\",\"message\":\"");
    (void)state;
    while (used < sizeof body - 10)
        used += (size_t)snprintf(body + used, sizeof body - used, "é");
    snprintf(body + used, sizeof body - used, "\"}");
    input = input_make(409, body, 0);
    answer_read(&answer, &input);
    assert_int_equal(answer.action, ANSWER_RETRY);
    assert_true(strlen(answer.reason) <= 500 && email_line_check(answer.reason));
    assert_non_null(strstr(answer.reason, "; whether it was sent is unknown"));
    answer_clear(&answer);
}

static void random_check(const char *body, size_t length)
{
    struct answer_input input = {.transport = (enum answer_transport)(rand() % 4),
                                 .status = rand() % 2 ? 200 : rand() % 700,
                                 .body = length ? body : NULL,
                                 .body_length = length,
                                 .batch = rand() % 2,
                                 .item_count = 1 + (size_t)rand() % 3,
                                 .retry_after = rand() % 2 ? "2" : NULL};
    struct answer answer;
    answer_read(&answer, &input);
    assert_int_equal(answer.action == ANSWER_ACCEPTED, answer.items != NULL);
    assert_int_equal(answer.action == ANSWER_ACCEPTED, answer.reason[0] == '\0');
    assert_true(email_line_check(answer.reason) && strlen(answer.reason) <= 500);
    assert_true(answer.wait_ms >= 0 && answer.wait_ms <= RATE_MAX_WAIT_MS);
    answer_clear(&answer);
}

static void test_random_bytes(void **state)
{
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "\"",
                                         "\"id\"",
                                         "\"data\"",
                                         "\"a\"",
                                         "\"errors\"",
                                         "1",
                                         "-1",
                                         "null",
                                         "\xFF",
                                         "\"name\"",
                                         "{\"id\":\"a\"}",
                                         "{\"data\":[",
                                         "{\"index\":0}",
                                         "\"message\""};
    (void)state;
    srand(11);
    for (int round = 0; round < 20000; round++) {
        char body[400] = "";
        for (int i = rand() % 16; i > 0; i--)
            strcat(body, pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)]);
        random_check(body, strlen(body));
        for (size_t i = 0; i < 40; i++)
            body[i] = (char)(rand() % 256);
        random_check(body, (size_t)rand() % 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_transport),    cmocka_unit_test(test_key_said_by_validation),
        cmocka_unit_test(test_waits),        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_permissive),   cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
