/* log: one line an event in both forms, whatever the values hold; secrets never. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char line[65536];

/* What one event writes to stderr. */
static const char *logged(enum log_level level, const char *key, const char *value)
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    log_event(level, "job failed", key, value, NULL);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    size_t length = fread(line, 1, sizeof line - 1, file);
    line[length] = '\0';
    fclose(file);
    return line;
}

static void assert_one_line(const char *text)
{
    assert_true(strlen(text) > 0);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void test_logfmt(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_LOGFMT);
    logged(LOG_WARN, "kind", "email.send");
    assert_one_line(line);
    assert_memory_equal(line, "time=2", 6);
    assert_non_null(strstr(line, " level=warn event=\"job failed\" kind=email.send\n"));
    assert_non_null(strstr(logged(LOG_WARN, "text", ""), " text=\"\"\n"));
    assert_non_null(strstr(logged(LOG_WARN, "text", "a=b"), " text=\"a=b\"\n"));
    assert_non_null(strstr(logged(LOG_WARN, "text", "say \"hi\"\n\tback\\slash"),
                           " text=\"say \\\"hi\\\"\\n\\tback\\\\slash\"\n"));
    assert_null(strstr(logged(LOG_WARN, "text", NULL), "text"));
}

static void test_level(void **state)
{
    (void)state;
    log_configure(LOG_WARN, LOG_LOGFMT);
    assert_string_equal(logged(LOG_INFO, "a", "b"), "");
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_ERROR));
    enum log_level level;
    enum log_format format;
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse("loud", &level));
    assert_true(log_format_parse("json", &format));
    assert_false(log_format_parse("xml", &format));
}

/* Every nasty value stays one line, valid UTF-8, and valid JSON with the same meaning. */
static void test_json_of_nasty_values(void **state)
{
    (void)state;
    static const char *const values[] = {
        "plain",
        "\x01\x02\x1B[31mred\x7F",
        "quote \" back \\ slash",
        "line\nline\r\n",
        "caf\xC3\xA9",
        "\xF0\x9F\x93\xA7",
        "\xE2\x80\xA8separator",
        "\xC2\x9B;31m",
        "bad \xFF\xFE",
        "cut \xE2\x82",
        "overlong \xC0\xAF",
        "surrogate \xED\xA0\x80",
    };
    log_configure(LOG_INFO, LOG_JSON);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_error_t error;
        logged(LOG_ERROR, "value", values[i]);
        assert_one_line(line);
        json_t *parsed = json_loads(line, 0, &error);
        assert_non_null(parsed);
        assert_string_equal(json_string_value(json_object_get(parsed, "level")), "error");
        const char *value = json_string_value(json_object_get(parsed, "value"));
        if (i < 8)
            assert_string_equal(value, values[i]);
        else
            assert_non_null(strstr(value, "\xEF\xBF\xBD"));
        for (const char *at = line; *at; at++)
            assert_true(*at == '\n' || (unsigned char)*at >= 0x20);
        json_decref(parsed);
    }
}

static void test_long_value_is_cut(void **state)
{
    (void)state;
    char *text = malloc(20001);
    memset(text, 'x', 20000);
    text[20000] = '\0';
    log_configure(LOG_INFO, LOG_LOGFMT);
    logged(LOG_INFO, "body", text);
    assert_one_line(line);
    assert_non_null(strstr(line, "x... (20000 bytes)\"\n"));
    assert_true(strlen(line) < 9000);
    free(text);
}

static void assert_hidden(const char *value)
{
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        log_configure(LOG_INFO, (enum log_format)format);
        logged(LOG_INFO, "error", value);
        assert_null(strstr(line, "s3cret"));
        assert_null(strstr(line, "re_1234"));
        assert_non_null(strstr(line, "***"));
    }
}

static void test_secrets_never_appear(void **state)
{
    (void)state;
    log_secret("s3cret \"quoted\"/@\n");
    log_secret("re_12345678");
    log_secret("re_12345678_longer");
    log_secret("5678_overlap");
    log_secret("short");
    log_secret(NULL);
    assert_hidden("re_12345678");
    assert_hidden("Bearer re_12345678!");
    assert_hidden("Bearer re_12345678_longer, re_12345678");
    assert_hidden("re_12345678_overlap");
    assert_null(strstr(line, "overlap"));
    assert_hidden("password s3cret \"quoted\"/@\n wrong");
    assert_hidden("{\"password\": \"s3cret \\\"quoted\\\"/@\\n\"}");
    assert_hidden("postgres://u:s3cret%20%22quoted%22%2F%40%0A@h/db");
    assert_hidden("postgres://u:s3cret%20%22quoted%22%2f%40%0a@h/db");
    assert_non_null(strstr(logged(LOG_INFO, "text", "a short word"), "a short word"));
}

static void test_secret_across_the_cut(void **state)
{
    (void)state;
    char *text = malloc(9000);
    memset(text, 'x', 8999);
    text[8999] = '\0';
    memcpy(text + 8188, "re_12345678", 11);
    log_configure(LOG_INFO, LOG_LOGFMT);
    assert_null(strstr(logged(LOG_INFO, "body", text), "re_1"));
    free(text);
}

static void test_redact_in_place(void **state)
{
    (void)state;
    char text[] = "re_12345678 and re_12345678re_12345678 end";
    log_redact(text);
    assert_string_equal(text, "*** and ****** end");
    char none[] = "";
    log_redact(none);
    assert_string_equal(none, "");
}

static void test_numbers(void **state)
{
    (void)state;
    const char *a = log_int(1), *b = log_int(-9223372036854775807LL - 1);
    assert_string_equal(a, "1");
    assert_string_equal(b, "-9223372036854775808");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_json_of_nasty_values),
        cmocka_unit_test(test_long_value_is_cut),
        cmocka_unit_test(test_secrets_never_appear),
        cmocka_unit_test(test_secret_across_the_cut),
        cmocka_unit_test(test_redact_in_place),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
