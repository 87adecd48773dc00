/* schedule_file: the lines of a file of schedules, and what is told of those that are wrong. */
#include "cli/schedule_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

static void check(const char *line, const char *cron, const char *kind, const char *args)
{
    struct schedule_file file;
    struct err err = {0};
    if (!schedule_file_parse(&file, line, &err))
        fail_msg("%s: %s", line, err.text);
    assert_int_equal(file.count, 1);
    char **fields = file.entries[0].fields;
    assert_string_equal(fields[SCHEDULE_NAME], "n");
    assert_string_equal(fields[SCHEDULE_CRON], cron);
    assert_string_equal(fields[SCHEDULE_KIND], kind);
    if (args)
        assert_string_equal(fields[SCHEDULE_ARGS], args);
    else
        assert_null(fields[SCHEDULE_ARGS]);
    schedule_file_clear(&file);
}

static void test_lines(void **state)
{
    (void)state;
    check("n 0 9 * * 1-5 report.run", "0 9 * * 1-5", "report.run", NULL);
    check("  n\t0  9 * * MON\treport.run {\"a\": 1}\n", "0  9 * * MON", "report.run", "{\"a\": 1}");
    check("n 0 0 9 * * 1 report.run\r\n", "0 0 9 * * 1", "report.run", NULL);
    check("n 0 0 9 * * 1 {}", "0 0 9 * *", "1", "{}");
    check("n 0 0 9 * * mon overlap=skip", "0 0 9 * *", "mon", NULL);
    check("n @hourly report", "@hourly", "report", NULL);
    check("n @every 90s report []", "@every 90s", "report", "[]");
    check("# a comment\n\n\t\nn @daily a.b {\"n\": 123456789012345678901234567890}", "@daily",
          "a.b", "{\"n\": 123456789012345678901234567890}");
}

static void test_options(void **state)
{
    (void)state;
    struct schedule_file file;
    struct err err = {0};
    assert_true(schedule_file_parse(&file,
                                    "a @daily k\n"
                                    "TZ=Europe/Berlin\n"
                                    "MISSED_MAX=3h\n"
                                    "b @daily k tags=x,y priority=1\n"
                                    "c @daily k timezone=Asia/Tokyo {\"x=y\": 1}\n",
                                    &err));
    assert_int_equal(file.count, 3);
    assert_null(file.entries[0].fields[SCHEDULE_TIMEZONE]);
    assert_string_equal(file.entries[1].fields[SCHEDULE_TIMEZONE], "Europe/Berlin");
    assert_string_equal(file.entries[1].fields[SCHEDULE_MISSED_MAX], "3h");
    assert_string_equal(file.entries[1].fields[SCHEDULE_TAGS], "{\"x\",\"y\"}");
    assert_string_equal(file.entries[1].fields[SCHEDULE_PRIORITY], "1");
    assert_string_equal(file.entries[2].fields[SCHEDULE_TIMEZONE], "Asia/Tokyo");
    assert_string_equal(file.entries[2].fields[SCHEDULE_ARGS], "{\"x=y\": 1}");
    schedule_file_clear(&file);
}

static void test_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"n\n", "line 1: cron: "},
        {"\nn 0 9 * * 8 k", "line 2: cron: day of week '8' is not 0-7"},
        {"n @nightly k", "line 1: cron: "},
        {"n 0 9 * * 1", "line 1: the kind is missing behind the expression"},
        {"n 0 9 * * 1 {}", "line 1: the kind is missing"},
        {"n @daily k {", "line 1: args are no JSON: "},
        {"n @daily k x", "line 1: behind the kind come option=value and then JSON: 'x'"},
        {"n @daily k colour=red", "line 1: there is no option colour;"},
        {"colour=red", "line 1: there is no option colour;"},
        {"n @daily k tz=Europe/Nowhere", "line 1: "},
        {"n @daily k\nm @daily k\nn @hourly k", "line 3: n stands above already"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct schedule_file file;
        struct err err = {0};
        assert_false(schedule_file_parse(&file, cases[i].text, &err));
        if (strncmp(err.text, cases[i].told, strlen(cases[i].told)) != 0)
            fail_msg("%s: told '%s', not '%s'", cases[i].text, err.text, cases[i].told);
        schedule_file_clear(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
