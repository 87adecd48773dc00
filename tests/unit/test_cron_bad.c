/* cron: expressions that are refused. Each file cron_bad/NAME.cron, without its last line end, is
 * one; NAME.error is the error that must come out. And whatever bytes: an error of one printable
 * line, or an expression that works, soon. */
#include "base/clock.h"
#include "base/str.h"
#include "cron/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 60000, BYTES_MAX = 300, FIRES = 3 };

/* ---- The folder ---- */

static void file_read(const char *name, const char *ending, char *text, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "cron_bad/%s.%s", name, ending);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    size_t length = fread(text, 1, size - 1, file);
    fclose(file);
    if (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
}

static void test_folder(void **state)
{
    (void)state;
    size_t count = 0;
    DIR *folder = opendir("cron_bad");
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        char name[256], text[1024], expected[ERR_TEXT_BYTES];
        snprintf(name, sizeof name, "%s", entry->d_name);
        char *dot = strrchr(name, '.');
        if (!dot || strcmp(dot, ".cron") != 0)
            continue;
        *dot = '\0';
        file_read(name, "cron", text, sizeof text);
        file_read(name, "error", expected, sizeof expected);
        struct cron cron;
        struct err err;
        if (cron_parse(&cron, text, &err))
            fail_msg("%s: accepted", name);
        assert_int_equal(err.code, ERR_CONFIG);
        if (strcmp(err.text, expected) != 0)
            fail_msg("%s: got \"%s\", expected \"%s\"", name, err.text, expected);
        count++;
    }
    closedir(folder);
    assert_true(count > 60);
}

/* ---- Whatever bytes ---- */

static uint64_t random_state = 88172645463325252U;

static uint32_t random_number(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % below;
}

/* Any bytes, bytes that expressions are made of, or five short words of such. */
static void random_text(char *text, size_t size, int kind)
{
    static const char alphabet[] = "0123456789012345 \t     ***/-,,LWLw##?@everydailyhms MONfriJan";
    static const char digits[] = "0123456789*****?L-/";
    size_t length = random_number((uint32_t)size);
    if (random_number(4) > 0)
        length %= 24;
    if (kind > 1)
        length = 9;
    for (size_t i = 0; i < length; i++)
        if (kind == 0)
            text[i] = (char)(1 + random_number(255));
        else if (kind == 1)
            text[i] = alphabet[random_number(sizeof alphabet - 1)];
        else
            text[i] = i % 2 ? ' ' : digits[random_number(sizeof digits - 1)];
    text[length] = '\0';
}

static void assert_printable(const char *text)
{
    const size_t length = strlen(text);
    assert_true(length > 0);
    for (size_t at = 0; at < length;) {
        uint32_t character;
        at += str_character(text + at, length - at, &character);
        assert_true(character >= 0x20 && character != 0x7F);
    }
}

static void use(const struct cron *cron, const struct zone *zone)
{
    struct buf buf;
    buf_init(&buf, 0);
    cron_describe(cron, &buf);
    assert_printable(buf_text(&buf));
    buf_clear(&buf);
    int64_t at_us = (int64_t)random_number(UINT32_MAX) * 1000000;
    for (int i = 0; i < FIRES; i++) {
        int64_t next_us = cron_next(cron, zone, at_us);
        assert_true(next_us > at_us && next_us != CRON_NEVER);
        at_us = next_us;
    }
}

static void test_random_bytes(void **state)
{
    (void)state;
    struct err err;
    struct zone *zone = zone_new(NULL, "Europe/Berlin", &err);
    assert_non_null(zone);
    int accepted = 0;
    const int64_t begun_us = clock_mono_us();
    for (int i = 0; i < ROUNDS; i++) {
        char *text = malloc(BYTES_MAX + 1); /* of its own size, so that a byte too far is found */
        random_text(text, BYTES_MAX, i % 3);
        text = realloc(text, strlen(text) + 1);
        struct cron cron;
        if (cron_parse(&cron, text, &err)) {
            accepted++;
            use(&cron, zone);
        } else {
            assert_int_equal(err.code, ERR_CONFIG);
            assert_printable(err.text);
        }
        free(text);
    }
    assert_true(accepted > ROUNDS / 100);
    assert_true(clock_mono_us() - begun_us < 60 * INT64_C(1000000));
    zone_free(zone);
}

/* Valid expressions with a byte changed, so that many are still accepted. */
static void test_random_changes(void **state)
{
    (void)state;
    static const char *const seeds[] = {"*/5 9-17 * * MON-FRI", "0 0 L-3,15W,LW 1-12/2 5#3,2L",
                                        "30 0 22-2 1,15 * ?",   "@every 1h30m",
                                        "0 0 29 2 5",           "59 59 23 31 DEC SUN"};
    struct err err;
    struct zone *zone = zone_new(NULL, "America/New_York", &err);
    assert_non_null(zone);
    int accepted = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", seeds[i % 6]);
        for (uint32_t n = 1 + random_number(2); n > 0; n--)
            text[random_number((uint32_t)strlen(text))] = " 0123456789*/-,LW#?d"[random_number(20)];
        struct cron cron;
        if (cron_parse(&cron, text, &err)) {
            accepted++;
            use(&cron, zone);
        } else {
            assert_printable(err.text);
        }
    }
    assert_true(accepted > ROUNDS / 20);
    zone_free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
