/* settings: every source, their precedence, and what is said of bad input. */
#include "config/settings.h"

#include "base/log.h"
#include "config/conninfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct errand_setting email_table[] = {
    {"api_key", ERRAND_SETTING_SECRET, NULL, "RESEND_API_KEY", 0, 0, "key"},
    {"from", ERRAND_SETTING_TEXT, "nobody@example.com", NULL, 0, 0, "sender"},
    {"batch_max", ERRAND_SETTING_INTEGER, "100", NULL, 1, 100, "mails in one request"},
    {"tracking", ERRAND_SETTING_BOOLEAN, "false", NULL, 0, 0, "track"},
};
static const struct settings_section modules[] = {{"email", email_table, 4}};

struct fixture {
    char directory[64];
    char path[96];
    struct settings *settings;
    struct err err;
};

static int fixture_open(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.directory = "/tmp/errand-settings-XXXXXX"};
    if (!mkdtemp(fixture.directory))
        return -1;
    snprintf(fixture.path, sizeof fixture.path, "%s/errand.conf", fixture.directory);
    fixture.settings = settings_new(modules, 1);
    *state = &fixture;
    return 0;
}

static int fixture_close(void **state)
{
    static const char *const names[] = {
        "ERRAND_CONFIG",         "ERRAND_LISTEN",   "ERRAND_CONCURRENCY",  "ERRAND_EMAIL_API_KEY",
        "ERRAND_EMAIL_FROM",     "RESEND_API_KEY",  "ERRAND_DATABASE_URL", "DATABASE_URL",
        "CREDENTIALS_DIRECTORY", "ERRAND_LOG_LEVEL"};
    struct fixture *fixture = *state;
    char command[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    settings_free(fixture->settings);
    snprintf(command, sizeof command, "rm -rf %s", fixture->directory);
    return system(command);
}

static void put(const struct fixture *fixture, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", fixture->directory, name);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static bool load(struct fixture *fixture, const char *text)
{
    put(fixture, "errand.conf", text);
    return settings_load(fixture->settings, fixture->path, &fixture->err);
}

static void assert_refused(struct fixture *fixture, const char *text, const char *part)
{
    assert_false(load(fixture, text));
    assert_int_equal(fixture->err.code, ERR_CONFIG);
    if (!strstr(fixture->err.text, part))
        fail_msg("'%s' is not in '%s'", part, fixture->err.text);
}

static const char *shown(struct settings *settings, const char *section, const char *key)
{
    for (size_t i = 0; i < settings_count(settings); i++) {
        struct settings_view view = settings_at(settings, i);
        if (strcmp(view.section, section) == 0 && strcmp(view.setting->name, key) == 0)
            return view.shown;
    }
    return "no such setting";
}

static void test_defaults(void **state)
{
    struct fixture *fixture = *state;
    struct settings *settings = fixture->settings;
    assert_true(load(fixture, ""));
    assert_null(settings_text(settings, "errand", "database_url"));
    assert_string_equal(settings_text(settings, "errand", "queues"), "*");
    assert_int_equal(settings_integer(settings, "errand", "concurrency"), 100);
    assert_int_equal(settings_integer(settings, "errand", "lease_ttl_ms"), 10000);
    assert_true(settings_boolean(settings, "errand", "listen"));
    assert_string_equal(settings_origin(settings, "errand", "listen"), "default");
    assert_int_equal(settings_integer(settings, "email", "batch_max"), 100);
    assert_false(settings_boolean(settings, "email", "tracking"));
    assert_string_equal(settings_file(settings), fixture->path);
}

/* ---- Plug-ins ---- */

static const struct errand_setting late_table[] = {
    {"word", ERRAND_SETTING_TEXT, "initial", NULL, 0, 0, "word"},
};
static const struct settings_section late = {"late", late_table, 1};

static void test_section_that_comes_later(void **state)
{
    struct fixture *fixture = *state;
    struct settings *settings = fixture->settings;
    put(fixture, "errand.conf",
        "[late]\nword = said\n[errand]\njobs = /x\n[email]\nbatch_max = 7\n");
    assert_true(settings_load_core(settings, fixture->path, &fixture->err));
    assert_string_equal(settings_text(settings, "errand", "jobs"), "/x");
    assert_false(settings_load(settings, fixture->path, &fixture->err));
    assert_false(settings_knows(settings, "late.word=flag"));
    settings_extend(settings, &late);
    assert_true(settings_knows(settings, "late.word=flag"));
    err_clear(&fixture->err);
    assert_true(settings_load(settings, fixture->path, &fixture->err));
    assert_string_equal(settings_text(settings, "late", "word"), "said");
    assert_int_equal(settings_integer(settings, "email", "batch_max"), 7);
    assert_string_equal(settings_text(settings, "errand", "jobs"), "/x");
    assert_true(settings_flag(settings, "late.word=flag", &fixture->err));
    assert_true(settings_load(settings, fixture->path, &fixture->err));
    assert_string_equal(settings_text(settings, "late", "word"), "flag");
}

static void test_section_that_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct settings *settings = fixture->settings;
    static const char text[] = "[gone]\nword = said\n[email]\nbatch_max = 7\n";
    assert_refused(fixture, text, "there is no section [gone]");
    settings_tolerate(settings, "gone");
    settings_tolerate(settings, "email"); /* is there: its faults stay faults */
    err_clear(&fixture->err);
    assert_true(load(fixture, text));
    assert_true(settings_flag(settings, "gone.word=flag", &fixture->err));
    assert_int_equal(settings_integer(settings, "email", "batch_max"), 7);
    assert_refused(fixture, "[email]\nnothing = 1\n", "has no setting 'nothing'");
}

static void test_file(void **state)
{
    struct fixture *fixture = *state;
    char origin[128];
    assert_true(load(fixture, "\xEF\xBB\xBF# comment\r\n; comment\n\n[errand]\r\n  listen =  no "
                              "\r\nqueues=a, b-1 ,c_2.x\n"
                              "[ email ]\nfrom = \"A; B\" <a@b.c> # kept\ntracking = on"));
    assert_false(settings_boolean(fixture->settings, "errand", "listen"));
    assert_string_equal(settings_text(fixture->settings, "errand", "queues"), "a, b-1 ,c_2.x");
    assert_string_equal(settings_text(fixture->settings, "email", "from"),
                        "\"A; B\" <a@b.c> # kept");
    assert_true(settings_boolean(fixture->settings, "email", "tracking"));
    snprintf(origin, sizeof origin, "%s:5", fixture->path);
    assert_string_equal(settings_origin(fixture->settings, "errand", "listen"), origin);
}

/* Longer than the 200 bytes at which a well-known library cuts lines. */
static void test_long_value(void **state)
{
    struct fixture *fixture = *state;
    char text[6000] = "[email]\nfrom = ";
    size_t start = strlen(text);
    memset(text + start, 'x', 5000);
    text[start + 5000] = '\0';
    assert_true(load(fixture, text));
    assert_int_equal(strlen(settings_text(fixture->settings, "email", "from")), 5000);
}

static void test_precedence(void **state)
{
    struct fixture *fixture = *state;
    struct settings *settings = fixture->settings;
    static const char text[] = "[email]\nfrom = file\n";
    setenv("CREDENTIALS_DIRECTORY", fixture->directory, 1);
    assert_true(load(fixture, text));
    assert_string_equal(settings_text(settings, "email", "from"), "file");
    put(fixture, "email.from", "credential\n\n");
    assert_true(load(fixture, text));
    assert_string_equal(settings_text(settings, "email", "from"), "credential");
    assert_string_equal(settings_origin(settings, "email", "from"), "credential email.from");
    setenv("ERRAND_EMAIL_FROM", "environment", 1);
    assert_true(load(fixture, text));
    assert_string_equal(settings_text(settings, "email", "from"), "environment");
    assert_string_equal(settings_origin(settings, "email", "from"),
                        "environment ERRAND_EMAIL_FROM");
    assert_true(settings_flag(settings, "email.from=flag=1", &fixture->err));
    assert_true(load(fixture, text));
    assert_string_equal(settings_text(settings, "email", "from"), "flag=1");
    assert_string_equal(settings_origin(settings, "email", "from"), "flag --set");
}

static void test_environment(void **state)
{
    struct fixture *fixture = *state;
    struct settings *settings = fixture->settings;
    setenv("DATABASE_URL", "postgres:///other", 1);
    setenv("RESEND_API_KEY", "re_other_key", 1);
    setenv("ERRAND_LISTEN", "", 1);
    assert_true(load(fixture, ""));
    assert_string_equal(settings_text(settings, "errand", "database_url"), "postgres:///other");
    assert_string_equal(settings_origin(settings, "errand", "database_url"),
                        "environment DATABASE_URL");
    assert_string_equal(settings_text(settings, "email", "api_key"), "re_other_key");
    assert_true(settings_boolean(settings, "errand", "listen"));
    setenv("ERRAND_DATABASE_URL", "postgres:///mine", 1);
    assert_true(load(fixture, ""));
    assert_string_equal(settings_text(settings, "errand", "database_url"), "postgres:///mine");
    setenv("ERRAND_CONCURRENCY", "many", 1);
    assert_refused(
        fixture, "",
        "environment ERRAND_CONCURRENCY: errand.concurrency is 'many'; allowed: a whole number "
        "from 1 to 10000");
}

static void test_file_from_environment(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "errand.conf", "[errand]\nconcurrency = 7\n");
    setenv("ERRAND_CONFIG", fixture->path, 1);
    assert_true(settings_load(fixture->settings, NULL, &fixture->err));
    assert_int_equal(settings_integer(fixture->settings, "errand", "concurrency"), 7);
    setenv("ERRAND_CONFIG", "/nonexistent/errand.conf", 1);
    assert_false(settings_load(fixture->settings, NULL, &fixture->err));
    assert_non_null(strstr(fixture->err.text, "/nonexistent/errand.conf: No such file"));
    assert_false(settings_load(fixture->settings, "/tmp", &fixture->err));
}

static void test_flags(void **state)
{
    struct fixture *fixture = *state;
    struct settings *settings = fixture->settings;
    assert_true(settings_flag_core(settings, "log_level", "debug", &fixture->err));
    assert_true(load(fixture, "[errand]\nlog_level = warn\n"));
    assert_string_equal(settings_text(settings, "errand", "log_level"), "debug");
    assert_string_equal(settings_origin(settings, "errand", "log_level"), "flag --log-level");
    assert_false(settings_flag(settings, "email.form=x", &fixture->err));
    assert_string_equal(fixture->err.text,
                        "flag --set: section [email] has no setting 'form'; did you mean 'from'?");
    assert_false(settings_flag(settings, "emial.from=x", &fixture->err));
    assert_string_equal(fixture->err.text,
                        "flag --set: there is no section [emial]; did you mean 'email'?");
    assert_false(settings_flag(settings, "from=x", &fixture->err));
    assert_false(settings_flag(settings, "email.from", &fixture->err));
    assert_true(settings_flag_core(settings, "concurrency", "0", &fixture->err));
    assert_refused(fixture, "", "flag --concurrency: errand.concurrency is '0'");
}

static void test_empty_means_none(void **state)
{
    struct fixture *fixture = *state;
    assert_true(load(fixture, "[email]\nfrom =\n"));
    assert_null(settings_text(fixture->settings, "email", "from"));
    assert_refused(fixture, "[errand]\nconcurrency =\n", ":2: errand.concurrency is ''");
}

static void test_bad_files(void **state)
{
    struct fixture *fixture = *state;
    char text[10000];
    assert_refused(
        fixture, "[errand]\nconncurrency = 1\n",
        ":2: section [errand] has no setting 'conncurrency'; did you mean 'concurrency'?");
    assert_refused(fixture, "[emial]\nfrom = x\n",
                   ":2: there is no section [emial]; did you mean 'email'?");
    assert_refused(fixture, "[zzzzzzzz]\nfrom = x\n",
                   ":2: there is no section [zzzzzzzz]; docs/configuration.md lists them");
    assert_refused(fixture, "listen = true\n", ":1: a setting stands below a [section] heading");
    assert_refused(fixture, "[errand]\nlisten\n", ":2: a line is");
    assert_refused(fixture, "[errand]\n= x\n", ":2: a line is");
    assert_refused(fixture, "[errand\n", ":1: a heading is [section]");
    assert_refused(fixture, "[errand]\nlisten = maybe\n",
                   ":2: errand.listen is 'maybe'; allowed: true or false");
    assert_refused(fixture, "[errand]\nconcurrency = 10001\n", "from 1 to 10000");
    assert_refused(fixture, "[errand]\nconcurrency = 5x\n", "from 1 to 10000");
    assert_refused(fixture, "[errand]\nconcurrency = 99999999999999999999\n", "from 1 to 10000");
    assert_refused(fixture, "[errand]\nlease_ttl_ms = 1999\n", "from 2000 to 600000");
    assert_refused(fixture, "[errand]\nlog_level = loud\n", "allowed: debug, info, warn or error");
    assert_refused(fixture, "[errand]\nlog_format = xml\n", "allowed: logfmt or json");
    assert_refused(fixture, "[errand]\nqueues = a,,b\n", "queue names");
    assert_refused(fixture, "[errand]\nqueues = A\n", "queue names");
    assert_refused(fixture, "[email]\nfrom = \xFF\n", ":2: line is not UTF-8");
    snprintf(text, sizeof text, "[email]\nfrom = %09000d\n", 0);
    assert_refused(fixture, text, ":2: line is longer than 8192 bytes");
}

static void test_bad_credentials(void **state)
{
    struct fixture *fixture = *state;
    char path[160];
    setenv("CREDENTIALS_DIRECTORY", fixture->directory, 1);
    put(fixture, "errand.concurrency", "lots\n");
    assert_refused(fixture, "", "credential errand.concurrency: errand.concurrency is 'lots'");
    snprintf(path, sizeof path, "%s/errand.concurrency", fixture->directory);
    unlink(path);
    mkdir(path, 0700);
    assert_refused(fixture, "", "cannot read credential");
}

static void test_secrets_are_hidden(void **state)
{
    struct fixture *fixture = *state;
    char line[] = "key re_file_key_1 pass pa%20ss/word and pa ss/word";
    assert_true(load(fixture,
                     "[email]\napi_key = re_file_key_1\n[errand]\n"
                     "database_url = postgres://u:pa%20ss%2Fword@h/db?password=pa%20ss/word\n"));
    assert_string_equal(settings_text(fixture->settings, "email", "api_key"), "re_file_key_1");
    assert_string_equal(shown(fixture->settings, "email", "api_key"), "***");
    assert_string_equal(shown(fixture->settings, "errand", "database_url"),
                        "postgres://u:***@h/db?password=***");
    log_redact(line);
    assert_string_equal(line, "key *** pass *** and ***");
}

static void test_secret_is_not_in_the_error(void **state)
{
    struct fixture *fixture = *state;
    char text[70000];
    memset(text, 's', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    setenv("ERRAND_EMAIL_API_KEY", text, 1);
    assert_refused(fixture, "", "email.api_key is longer than");
    assert_null(strstr(fixture->err.text, "ssss"));
}

static void test_conninfo(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"postgres://", "postgres://"},
        {"postgresql://user@host/db", "postgresql://user@host/db"},
        {"postgresql://user:secret@host:5432/db", "postgresql://user:***@host:5432/db"},
        {"postgresql://user:a:b@c@host/db", "postgresql://user:***@host/db"},
        {"postgresql://host:5432/db", "postgresql://host:5432/db"},
        {"postgresql://user:@host/db", "postgresql://user:@host/db"},
        {"postgresql:///db?host=/tmp&password=x&user=y",
         "postgresql:///db?host=/tmp&password=***&user=y"},
        {"postgresql://u:x@h/db?sslpassword=y&password=z",
         "postgresql://u:***@h/db?sslpassword=***&password=***"},
        {"host=h password=secret dbname=d", "host=h password=*** dbname=d"},
        {"password = 'with \\' quote' host=h", "password = '***' host=h"},
        {"host='password=x' password=y\\ z user=u", "host='password=x' password=*** user=u"},
        {"password=x sslpassword=y", "password=*** sslpassword=***"},
        {"password='unclosed", "password='***"},
        {"password=", "password="},
        {"password", "password"},
        {"=", "="},
        {"a= b", "a= b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf buf;
        buf_init(&buf, 0);
        conninfo_mask(&buf, cases[i][0]);
        assert_string_equal(buf_text(&buf), cases[i][1]);
        buf_clear(&buf);
    }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_defaults),
        WITH_FIXTURE(test_file),
        WITH_FIXTURE(test_long_value),
        WITH_FIXTURE(test_precedence),
        WITH_FIXTURE(test_environment),
        WITH_FIXTURE(test_file_from_environment),
        WITH_FIXTURE(test_flags),
        WITH_FIXTURE(test_empty_means_none),
        WITH_FIXTURE(test_bad_files),
        WITH_FIXTURE(test_bad_credentials),
        WITH_FIXTURE(test_secrets_are_hidden),
        WITH_FIXTURE(test_secret_is_not_in_the_error),
        WITH_FIXTURE(test_section_that_comes_later),
        WITH_FIXTURE(test_section_that_is_left_alone),
        cmocka_unit_test(test_conninfo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
