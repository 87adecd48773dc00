/* log_line: what is left of a handler's line. */
#include "module/log_line.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errand/errand.h>
#include <stdlib.h>
#include <string.h>

static struct buf line;

static __attribute__((format(printf, 1, 2))) const char *made(const char *format, ...)
{
    va_list args;
    buf_clear(&line);
    va_start(args, format);
    log_line_format(&line, format, args);
    va_end(args);
    assert_int_equal(line.length, strlen(buf_text(&line)));
    return buf_text(&line);
}

static void test_plain(void **state)
{
    (void)state;
    assert_string_equal(made("%s", ""), "");
    assert_string_equal(made("%d \xc3\xa4\n", 7), "7 \xc3\xa4\n");
}

static void test_no_text(void **state)
{
    (void)state;
    assert_string_equal(made("a%cb", 0), "a\xef\xbf\xbd"
                                         "b");
    assert_string_equal(made("%c", 0), "\xef\xbf\xbd");
    assert_string_equal(made("\xff\xc3"), "\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(made("\xef\xbf\xbd"), "\xef\xbf\xbd");
}

static void test_long(void **state)
{
    (void)state;
    char *text = calloc(1, 300001);
    memset(text, 'x', ERRAND_LOG_LINE_MAX);
    assert_string_equal(made("%s", text), text);
    memset(text, 'x', 300000);
    for (size_t before = 0; before < 4; before++) {
        memcpy(text + ERRAND_LOG_LINE_MAX - 3 - before, "\xf0\x9f\x98\x80", 4);
        made("%s", text);
        assert_int_equal(line.length, ERRAND_LOG_LINE_MAX - before);
        assert_memory_equal(line.data + line.length - 4, "x...", 4);
        memset(text, 'x', 300000);
    }
    free(text);
}

static void test_secret_across_the_end(void **state)
{
    (void)state;
    char text[ERRAND_LOG_LINE_MAX + 20] = "";
    log_secret("secretsecret");
    memset(text, 'x', ERRAND_LOG_LINE_MAX - 6);
    strcat(text, "secretsecret");
    assert_null(strstr(made("%s", text), "sec"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_no_text),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_secret_across_the_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&line);
    return failed;
}
