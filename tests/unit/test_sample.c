/* Samples of events: every one can be made, and changes reach where their paths say. */
#include "cli/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int64_t now_us = INT64_C(1767225600000001); /* 2026-01-01T00:00:00.000001Z */

static json_t *make(const char *type, const char *const *changes, size_t count)
{
    struct err err = {0};
    const struct sample *sample = sample_find(type);
    assert_non_null(sample);
    json_t *body = sample_make(sample, now_us, changes, count, &err);
    if (!body)
        fail_msg("%s", err.text);
    return body;
}

static json_t *at(json_t *value, const char *path)
{
    char *text = strdup(path), *rest = NULL;
    for (char *name = strtok_r(text, ".", &rest); name; name = strtok_r(NULL, ".", &rest))
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(name))
                                     : json_object_get(value, name);
    free(text);
    return value;
}

static const char *text_at(json_t *value, const char *path)
{
    return json_string_value(at(value, path));
}

/* What is left of the placeholders would stand there as $... */
static void test_every_sample(void **state)
{
    (void)state;
    assert_true(sample_count > 30);
    for (size_t i = 0; i < sample_count; i++) {
        const struct sample *sample = &sample_table[i];
        json_t *body = make(sample->type, NULL, 0);
        bool is_mail = strcmp(sample->source, "resend") == 0;
        assert_string_equal(text_at(body, is_mail ? "type" : "meta.event_name"), sample->type);
        assert_string_equal(text_at(body, is_mail ? "created_at" : "data.attributes.updated_at"),
                            "2026-01-01T00:00:00.000001Z");
        char *text = json_dumps(body, 0);
        assert_null(strchr(text, '$'));
        assert_null(strchr(text, '\''));
        free(text);
        json_decref(body);
    }
}

static void test_types_differ(void **state)
{
    (void)state;
    json_t *body = make("subscription_cancelled", NULL, 0);
    assert_string_equal(text_at(body, "data.attributes.status"), "cancelled");
    assert_true(json_is_true(at(body, "data.attributes.cancelled")));
    assert_string_equal(text_at(body, "data.attributes.ends_at"), "2026-01-31T00:00:00.000001Z");
    json_decref(body);
    body = make("subscription_paused", NULL, 0);
    assert_string_equal(text_at(body, "data.attributes.pause.mode"), "void");
    json_decref(body);
    body = make("subscription_payment_failed", NULL, 0);
    assert_string_equal(text_at(body, "data.type"), "subscription-invoices");
    json_decref(body);
    assert_null(sample_find("subscription"));
}

static void test_changes(void **state)
{
    (void)state;
    static const char *const changes[] = {"data.email_id=17",
                                          "data.to.0=a@example.com",
                                          "data.to.1=b@example.com",
                                          "data.tags.message_id=7",
                                          "data.bounce.type=Transient",
                                          "data.new.deep=null",
                                          "data.at=$now-1h30m",
                                          "data.list=[1,2]",
                                          "data.subject=",
                                          "data.tags.text=no json=yes",
                                          "created_at=$later"};
    json_t *body = make("email.bounced", changes, sizeof changes / sizeof *changes);
    assert_string_equal(text_at(body, "data.email_id"), "17"); /* a text stood there */
    assert_string_equal(text_at(body, "data.to.0"), "a@example.com");
    assert_string_equal(text_at(body, "data.to.1"), "b@example.com");
    assert_int_equal(json_integer_value(at(body, "data.tags.message_id")), 7);
    assert_string_equal(text_at(body, "data.bounce.type"), "Transient");
    assert_true(json_is_null(at(body, "data.new.deep")));
    assert_string_equal(text_at(body, "data.at"), "2025-12-31T22:30:00.000001Z");
    assert_int_equal(json_array_size(at(body, "data.list")), 2);
    assert_string_equal(text_at(body, "data.subject"), "");
    assert_string_equal(text_at(body, "data.tags.text"), "no json=yes");
    assert_string_equal(text_at(body, "created_at"), "$later");
    json_decref(body);
}

static void test_new_ids_differ(void **state)
{
    (void)state;
    json_t *first = make("email.sent", NULL, 0), *second = make("email.sent", NULL, 0);
    assert_int_equal(strlen(text_at(first, "data.email_id")), 36);
    assert_string_not_equal(text_at(first, "data.email_id"), text_at(second, "data.email_id"));
    json_decref(first);
    json_decref(second);
}

static void test_bad_changes(void **state)
{
    (void)state;
    static const char *const bad[] = {"data.subject",
                                      "=x",
                                      "",
                                      ".=x",
                                      "data.to.x=1",
                                      "data.to.9=1",
                                      "data.subject.deep=1",
                                      "data.subject=\xff",
                                      "type.a.b=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        json_t *body = sample_make(sample_find("email.sent"), now_us, &bad[i], 1, &err);
        if (body)
            fail_msg("'%s' was taken", bad[i]);
        assert_non_null(strstr(err.text, "'"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sample), cmocka_unit_test(test_types_differ),
        cmocka_unit_test(test_changes),      cmocka_unit_test(test_new_ids_differ),
        cmocka_unit_test(test_bad_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
