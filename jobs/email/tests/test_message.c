/* From rows to request bytes: every shape of content, and what may not get into a mail. Rows that
 * are refused stand in bad/message. */
#include "../attachment.h"
#include "../message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "6f1c2b9e-8a47-4a57-9d52-0c1f5d0a7b11"
#define TAG "\"tags\":[{\"name\":\"message_id\",\"value\":\"" ID "\"}"
#define HEAD "{\"from\":\"Acme <hi@acme.com>\",\"to\":[\"a@b.co\"],"

static const struct message_template templates[] = {
    {"welcome", "Hi {{name}}\n", "<p>{{name}}</p>", "{{name}}"},
    {"plain", NULL, NULL, "Dear {{name}}"},
    {"empty", "x", "", NULL},
};

static struct message_settings settings_make(void)
{
    return (struct message_settings){.from = "Acme <hi@acme.com>",
                                     .templates = templates,
                                     .template_count = sizeof templates / sizeof *templates,
                                     .max_body_bytes = MESSAGE_BODY_BYTES};
}

struct build_case {
    const char *type, *subject, *content, *bytes;
};

static const struct build_case cases[] = {
    {NULL, "S", "{\"html\":\"<p>é</p>\"}",
     HEAD "\"subject\":\"S\",\"html\":\"<p>é</p>\"," TAG "]}"},
    {NULL, "S", "{\"text\":\"t{{x}}\",\"html\":\"h\",\"other\":1}",
     HEAD "\"subject\":\"S\",\"html\":\"h\",\"text\":\"t{{x}}\"," TAG "]}"},
    {NULL, "{{S}}", "{\"text\":\"t\",\"html\":null,\"subject\":\"no\"}",
     HEAD "\"subject\":\"{{S}}\",\"text\":\"t\"," TAG "]}"},
    {NULL, NULL, "{\"text\":\"t\",\"subject\":\"of content\"}",
     HEAD "\"subject\":\"of content\",\"text\":\"t\"," TAG "]}"},
    {NULL, NULL, "{\"template\":\"welcome\",\"data\":{\"name\":\"A&B\"}}",
     HEAD "\"subject\":\"Hi A&B\",\"html\":\"<p>A&amp;B</p>\",\"text\":\"A&B\"," TAG "]}"},
    {NULL, "row", "{\"template\":\"welcome\",\"data\":{\"name\":\"Z\"},\"subject\":\"c\"}",
     HEAD "\"subject\":\"row\",\"html\":\"<p>Z</p>\",\"text\":\"Z\"," TAG "]}"},
    {"welcome", NULL, "{\"name\":\"Z\",\"from\":\"Bob\",\"tags\":7,\"to\":\"x\"}",
     HEAD "\"subject\":\"Hi Z\",\"html\":\"<p>Z</p>\",\"text\":\"Z\"," TAG "]}"},
    {"welcome", "", "{\"data\":{\"name\":\"Z\"},\"from\":\"c@d.co\"}",
     "{\"from\":\"c@d.co\",\"to\":[\"a@b.co\"],\"subject\":\"Hi Z\",\"html\":\"<p>Z</p>\",\"text\":"
     "\"Z\"," TAG "]}"},
    {"plain", "S", "{\"html\":\"mine\"}", HEAD "\"subject\":\"S\",\"html\":\"mine\"," TAG "]}"},
    {NULL, "S",
     "{\"attachments\":[{\"content\":\"aGk=\\n\",\"filename\":\"a.txt\",\"content_id\":\"c1\"},"
     "{\"path\":\"https://x.y/z\"}],\"tags\":{\"n\":42,\"a\":\"b\"},\"headers\":{\"X-A\":\"1\"},"
     "\"bcc\":[\"e@f.co\",\"g@h.co\"],\"cc\":\"C "
     "<c@d.co>\",\"reply_to\":\"r@s.co\",\"text\":\"t\"}",
     HEAD "\"subject\":\"S\",\"text\":\"t\",\"reply_to\":[\"r@s.co\"],\"cc\":[\"C <c@d.co>\"],"
          "\"bcc\":[\"e@f.co\",\"g@h.co\"],\"headers\":{\"X-A\":\"1\"}," TAG
          ",{\"name\":\"n\",\"value\":\"42\"},{\"name\":\"a\",\"value\":\"b\"}],\"attachments\":["
          "{\"filename\":\"a.txt\",\"content\":\"aGk=\",\"content_id\":\"c1\"},"
          "{\"path\":\"https://x.y/z\"}]}"},
    {NULL, "S", "{\"text\":\"t\",\"tags\":[{\"name\":\"a\",\"value\":\"b\"}],\"cc\":[]}",
     HEAD "\"subject\":\"S\",\"text\":\"t\"," TAG ",{\"name\":\"a\",\"value\":\"b\"}]}"},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct message_settings settings = settings_make();
        json_t *content = json_loads(cases[i].content, 0, NULL);
        struct message_row row = {.id = ID,
                                  .message_type = cases[i].type,
                                  .subject = cases[i].subject,
                                  .recipient = "a@b.co",
                                  .content = content};
        struct message message;
        struct email_error error;
        assert_non_null(content);
        if (!message_build(&message, &row, &settings, &error))
            fail_msg("case %zu: %s", i, error.text);
        assert_string_equal(message.bytes, cases[i].bytes);
        assert_int_equal(message.length, strlen(message.bytes));
        assert_int_equal(message_has_attachments(&message),
                         strstr(message.bytes, "\"attachments\"") != NULL);
        message_clear(&message);
        json_decref(content);
    }
}

static void test_defaults(void **state)
{
    struct message_settings settings = settings_make();
    json_t *headers = json_loads("{\"X-A\":\"1\",\"X-B\":\"2\"}", 0, NULL);
    json_t *tags = json_loads("{\"env\":\"live\",\"app\":\"x\"}", 0, NULL);
    json_t *content = json_loads("{\"text\":\"t\",\"headers\":{\"x-a\":\"3\"},"
                                 "\"tags\":{\"env\":\"test\"}}",
                                 0, NULL);
    struct message_row row = {
        .id = ID, .subject = "S", .recipient = "A <a@B.CO>", .content = content};
    struct message message;
    struct email_error error;
    (void)state;
    settings.reply_to = "Help <help@acme.com>";
    settings.headers = headers;
    settings.tags = tags;
    assert_true(message_build(&message, &row, &settings, &error));
    assert_string_equal(
        message.bytes,
        "{\"from\":\"Acme <hi@acme.com>\",\"to\":[\"A <a@B.CO>\"],\"subject\":\"S\",\"text\":\"t\","
        "\"reply_to\":[\"Help <help@acme.com>\"],\"headers\":{\"X-B\":\"2\",\"x-a\":\"3\"}," TAG
        ",{\"name\":\"env\",\"value\":\"test\"},{\"name\":\"app\",\"value\":\"x\"}]}");
    assert_string_equal(message.recipient, "a@b.co");
    assert_string_equal(message.subject, "S");
    message_clear(&message);
    json_decref(headers);
    json_decref(tags);
    json_decref(content);
}

static void test_suppressed(void **state)
{
    const struct message_settings settings = settings_make();
    json_t *suppressed = json_pack("[s]", "c@d.co");
    json_t *content = json_loads("{\"text\":\"t\",\"cc\":[\"C <c@D.co>\",\"e@f.co\"],"
                                 "\"bcc\":\"c@d.co\",\"reply_to\":\"c@d.co\"}",
                                 0, NULL);
    struct message_row row = {.id = ID, .subject = "S", .recipient = "a@b.co", .content = content};
    struct message message;
    struct email_error error;
    (void)state;
    assert_true(message_build(&message, &row, &settings, &error));
    assert_int_equal(json_array_size(message.copied), 3);
    message_clear(&message);
    row.suppressed = suppressed;
    assert_true(message_build(&message, &row, &settings, &error));
    assert_non_null(
        strstr(message.bytes, "\"reply_to\":[\"c@d.co\"],\"cc\":[\"e@f.co\"],\"tags\""));
    assert_int_equal(json_array_size(message.copied), 1);
    message_clear(&message);
    json_decref(content);
    json_decref(suppressed);
}

static void test_size(void **state)
{
    struct message_settings settings = settings_make();
    json_t *content = json_pack("{s:s,s:s}", "html", "12345", "text", "67890");
    struct message_row row = {.id = ID, .subject = "S", .recipient = "a@b.co", .content = content};
    struct message message;
    struct email_error error;
    (void)state;
    settings.max_body_bytes = 10;
    assert_true(message_build(&message, &row, &settings, &error));
    message_clear(&message);
    settings.max_body_bytes = 9;
    assert_false(message_build(&message, &row, &settings, &error));
    assert_null(message.bytes);
    assert_string_equal(error.text, "html and text are more than 9 bytes");
    json_decref(content);
}

static void test_attachment_size(void **state)
{
    const struct message_settings settings = settings_make();
    size_t length = ATTACHMENT_MAX_BYTES + 4;
    char *base64 = malloc(length);
    json_t *content;
    struct message_row row = {.id = ID, .subject = "S", .recipient = "a@b.co"};
    struct message message;
    struct email_error error;
    (void)state;
    memset(base64, 'A', length);
    content = json_pack("{s:s,s:[{s:s,s:s#}]}", "text", "t", "attachments", "filename", "f",
                        "content", base64, (int)length);
    row.content = content;
    assert_false(message_build(&message, &row, &settings, &error));
    assert_string_equal(error.text, "attachments are more than 40000000 bytes");
    json_decref(content);
    free(base64);
}

static void test_no_content(void **state)
{
    const struct message_settings settings = settings_make();
    struct message_row row = {.id = ID, .subject = "S", .recipient = "a@b.co"};
    struct message message;
    struct email_error error;
    (void)state;
    assert_false(message_build(&message, &row, &settings, &error));
    assert_string_equal(error.text, "no body: there is no content, and no template named ''");
    row.message_type = "plain";
    assert_false(message_build(&message, &row, &settings, &error));
    assert_string_equal(error.text,
                        "template 'plain', text: line 1, column 8: no value for 'name'");
}

static void test_join(void **state)
{
    const struct message_bytes items[] = {{"{\"a\":1}", 7}, {"{}", 2}, {"{\"b\":2}", 7}};
    size_t length;
    char *body = message_join(items, 3, &length);
    (void)state;
    assert_string_equal(body, "[{\"a\":1},{},{\"b\":2}]");
    assert_int_equal(length, strlen(body));
    free(body);
    body = message_join(items, 1, &length);
    assert_string_equal(body, "[{\"a\":1}]");
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),      cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_suppressed), cmocka_unit_test(test_size),
        cmocka_unit_test(test_no_content), cmocka_unit_test(test_attachment_size),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
