/* schema: which names an installation may have, and how SQL is rewritten for one. */
#include "base/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "errand", "jobs_of_app", "_", "a", "e2", "a234567890123456789012345678901234567890"};
    static const char *const bad[] = {"",
                                      "2e",
                                      "Errand",
                                      "er-rand",
                                      "a b",
                                      "a.b",
                                      "\"a\"",
                                      "caf\xC3\xA9",
                                      "pg_jobs",
                                      "pg_",
                                      "public",
                                      "information_schema",
                                      "user",
                                      "order",
                                      "tablesample",
                                      "all",
                                      "a2345678901234567890123456789012345678901"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(schema_name_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(schema_name_is_valid(bad[i]));
    assert_true(schema_is_default("errand"));
    assert_false(schema_is_default("errand2"));
}

static void test_rewriting(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", ""},
        {"select 1", "select 1"},
        {"errand.job", "abc.job"},
        {"select errand.why(1), errand.cancel(2)", "select abc.why(1), abc.cancel(2)"},
        {"pg_notify('errand.' || id, 'x')", "pg_notify('abc.' || id, 'x')"},
        {"hashtextextended('errand.history_maintain', 0)",
         "hashtextextended('abc.history_maintain', 0)"},
        {"r errand.job%rowtype;\n(errand.x)", "r abc.job%rowtype;\n(abc.x)"},
        {"errand.errand.x", "abc.errand.x"}, /* a column of that name */
        {"public.errand.x", "public.errand.x"},
        {"my_errand.x, errand2.x, 9errand.x, \xC3\xA9"
         "errand.x",
         "my_errand.x, errand2.x, 9errand.x, \xC3\xA9"
         "errand.x"},
        {"grant errand_runner to x", "grant errand_runner to x"},
        {"start one with errand run", "start one with errand run"},
        {"usage on schema errand to errand_viewer", "usage on schema abc to errand_viewer"},
        {"in schema errand;", "in schema abc;"},
        {"create schema if not exists errand", "create schema if not exists abc"},
        {"schema errand_x, myschema errand", "schema errand_x, myschema errand"},
        {"schema errand", "schema abc"},
        {"errand", "errand"},
        {"errand.", "abc."},
        {"errerrand.x errand.", "errerrand.x abc."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf buf;
        buf_init(&buf, 0);
        schema_rewrite(&buf, cases[i].text, "abc");
        assert_string_equal(buf_text(&buf), cases[i].wanted);
        buf_clear(&buf);
    }
}

static void test_longer_and_shorter(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    schema_rewrite(&buf, "errand.a(errand.b) ", "a23456789");
    schema_rewrite(&buf, "errand.a(errand.b)", "_");
    assert_string_equal(buf_text(&buf), "a23456789.a(a23456789.b) _.a(_.b)");
    buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rewriting),
        cmocka_unit_test(test_longer_and_shorter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
