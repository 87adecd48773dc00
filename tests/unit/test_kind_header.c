/* header: the settings in the comments at a file's top. */
#include "kind/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* "2:queue=reports;" for each pair. */
static bool on_pair(void *context, const char *where, const char *section, const char *key,
                    const char *value, struct err *err)
{
    char *said = context;
    size_t length = strlen(said);
    assert_string_equal(section, "kind");
    snprintf(said + length, 400 - length, "%s %s=%s;", where, key, value);
    return strcmp(key, "bad") != 0 || err_set(err, ERR_CONFIG, "%s: bad", where);
}

static void check(const char *text, const char *expected)
{
    char said[400] = "";
    struct err err = {0};
    if (!header_read("f", text, strlen(text), on_pair, said, &err))
        fail_msg("%s", err.text);
    assert_string_equal(said, expected);
}

static void test_pairs(void **state)
{
    (void)state;
    check("", "");
    check("# errand: queue = reports", "f:1 queue=reports;");
    check("#!/bin/sh\n\n# About it.\n#errand:a=1\n  ## errand: no\n# errand: b = x = y \n",
          "f:4 a=1;f:6 b=x = y;");
    check("-- errand: transaction = own\r\n--errand:a=\nselect 1", "f:1 transaction=own;f:2 a=;");
    check("// errand: a = 1\nlet x", "f:1 a=1;");
    check("# Errand: a = 1\n# ERRAND : b=2\n", "f:1 a=1;f:2 b=2;");
}

static void test_where_it_ends(void **state)
{
    (void)state;
    check("#!/bin/sh\necho\n# errand: a = 1\n", "");
    check("select 1; -- errand: a = 1\n", "");
    check("- errand: a = 1", "");
    check("# said by errand: a = 1", "");
    check("# errand runs it: a = 1\n# errands: a = 1\n# errandb = 1", "");
}

static void test_what_is_no_text(void **state)
{
    char said[400] = "", line[3000];
    struct err err = {0};
    (void)state;
    assert_true(header_read("f",
                            "\x7f"
                            "ELF\0\n# errand: a = 1",
                            20, on_pair, said, &err));
    assert_string_equal(said, "");
    memset(line, '#', sizeof line);
    assert_true(header_read("f", line, sizeof line, on_pair, said, &err));
}

static void test_faults(void **state)
{
    char said[400] = "";
    struct err err = {0};
    (void)state;
    assert_false(header_read("f", "#\n# errand: fast", 16, on_pair, said, &err));
    assert_string_equal(err.text, "f:2: a setting is written errand: key = value");
    assert_int_equal(err.code, ERR_CONFIG);
    assert_false(header_read("f", "# errand a = 1", 14, on_pair, said, &err));
    assert_string_equal(err.text, "f:1: a setting is written errand: key = value");
    assert_false(header_read("f", "# errand: = 5", 13, on_pair, said, &err));
    assert_false(header_read("f", "# errand: bad = 5", 17, on_pair, said, &err));
    assert_string_equal(err.text, "f:1: bad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_where_it_ends),
        cmocka_unit_test(test_what_is_no_text),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
