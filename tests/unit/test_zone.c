/* zone: names, files, errors; the offsets against those of the C library, which reads the same
 * files with other code; and damaged files. */
#include "base/clock.h"
#include "cron/footer.h"
#include "cron/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TIMES_EACH = 400, MUTATIONS = 20000, FILE_MAX = 65536 };

static uint64_t random_state = 88172645463325252U;

static uint64_t random_number(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % below;
}

/* ---- Names ---- */

static const struct {
    const char *name, *error;
} bad_names[] = {
    {"", "time zone '' is no name of a zone; names are like Europe/Berlin or UTC"},
    {"/etc/passwd", "time zone '/etc/passwd' is no name of a zone"},
    {"../../../etc/passwd", "time zone '../../../etc/passwd' is no name of a zone"},
    {"Europe/../../../etc/passwd", "is no name of a zone"},
    {"Europe//Berlin", "is no name of a zone"},
    {"Europe/", "is no name of a zone"},
    {".", "is no name of a zone"},
    {"Europe/Berlin ", "is no name of a zone"},
    {"Europe/Berl\nin", "time zone 'Europe/Berl in' is no name of a zone"},
    {"tzdata.zi", "is no name of a zone"},
    {"Europe/Berlin-and-very-much-more-than-any-name-of-a-zone-ever-had",
     "time zone 'Europe/Berlin-and-very-much-more-than-an...' is no name"},
    {"localtime", "is another one on each machine"},
    {"posixrules", "is another one on each machine"},
    {"Europe", "time zone 'Europe' is unknown; names are like Europe/Berlin"},
    {"Europe/Atlantis", "time zone 'Europe/Atlantis' is unknown"},
    {"Europe/Berlin/Mitte", "time zone 'Europe/Berlin/Mitte' is unknown"},
    {"europe/berlin", "upper and lower case count"},
};

static void assert_refused(const char *directory, const char *name, const char *text)
{
    struct err err;
    struct zone *zone = zone_new(directory, name, &err);
    if (zone)
        fail_msg("'%s' is accepted", name);
    assert_int_equal(err.code, ERR_CONFIG);
    if (!strstr(err.text, text))
        fail_msg("'%s': got \"%s\", expected \"%s\"", name, err.text, text);
}

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++)
        assert_refused(NULL, bad_names[i].name, bad_names[i].error);
}

/* ---- Files ---- */

static void file_write(const char *directory, const char *name, const char *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static size_t file_read(const char *path, unsigned char *bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    size_t size = fread(bytes, 1, FILE_MAX, file);
    fclose(file);
    return size;
}

static void file_remove(const char *directory, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}

static void test_directory(void **state)
{
    (void)state;
    char directory[] = "/tmp/errand-zone-XXXXXX";
    struct err err;
    assert_non_null(mkdtemp(directory));
    assert_refused(directory, "Europe/Berlin", "; install the package tzdata");
    assert_refused("/nonexistent", "Europe/Berlin",
                   "there is no time zone data in /nonexistent; install the package tzdata");
    struct zone *zone = zone_new("/nonexistent", "UTC", &err);
    assert_non_null(zone);
    assert_int_equal(zone_offset_s(zone, 1790000000), 0);
    zone_free(zone);
    file_write(directory, "UTC", "x", 1);
    assert_refused(directory, "Berlin", "time zone 'Berlin' is unknown");
    file_write(directory, "Text", "Hello, this is no time zone at all, and long enough", 50);
    assert_refused(directory, "Text",
                   "time zone 'Text': its file is damaged: it is no time zone file (TZif)");
    file_write(directory, "Empty", "", 0);
    assert_refused(directory, "Empty", "it ends too early");
    if (geteuid() != 0) {
        file_write(directory, "Locked", "x", 1);
        char path[256];
        snprintf(path, sizeof path, "%s/Locked", directory);
        chmod(path, 0);
        assert_refused(directory, "Locked", "Permission denied");
        file_remove(directory, "Locked");
    }
    file_remove(directory, "UTC");
    file_remove(directory, "Text");
    file_remove(directory, "Empty");
    rmdir(directory);
}

static void test_set(void **state)
{
    (void)state;
    struct zone_set set;
    struct err err;
    zone_set_init(&set, NULL);
    const struct zone *berlin = zone_set_get(&set, "Europe/Berlin", &err);
    assert_non_null(berlin);
    assert_string_equal(zone_name(berlin), "Europe/Berlin");
    const struct zone *tehran = zone_set_get(&set, "Asia/Tehran", &err);
    assert_ptr_not_equal(berlin, tehran);
    assert_ptr_equal(zone_set_get(&set, "Europe/Berlin", &err), berlin);
    assert_null(zone_set_get(&set, "Europe/Nowhere", &err));
    zone_set_clear(&set);
    assert_non_null(zone_set_get(&set, "Europe/Berlin", &err));
    zone_set_clear(&set);
}

/* ---- Against the C library ---- */

static void assert_same_as_libc(const struct zone *zone, int64_t at_s)
{
    struct tm tm;
    time_t at = (time_t)at_s;
    localtime_r(&at, &tm);
    if (zone_offset_s(zone, at_s) != tm.tm_gmtoff)
        fail_msg("%s at %lld: %d, libc %ld", zone_name(zone), (long long)at_s,
                 zone_offset_s(zone, at_s), tm.tm_gmtoff);
}

/* Random times of 1900 to 2299, and the seconds around every change. */
static void zone_compare(const char *name)
{
    struct err err;
    struct zone *zone = zone_new(NULL, name, &err);
    if (!zone)
        fail_msg("%s", err.text);
    setenv("TZ", name, 1);
    tzset();
    for (int i = 0; i < TIMES_EACH; i++)
        assert_same_as_libc(zone, (int64_t)random_number(12622780800) - 2208988800);
    struct zone_span span = zone_span(zone, -2208988800);
    while (span.until_s < 10413792000) {
        assert_same_as_libc(zone, span.until_s - 1);
        assert_same_as_libc(zone, span.until_s);
        span = zone_span(zone, span.until_s);
    }
    zone_free(zone);
}

static void test_same_as_libc(void **state)
{
    (void)state;
    char line[512], name[128];
    size_t count = 0;
    FILE *table = fopen(ZONE_DIRECTORY "/zone1970.tab", "r");
    if (!table)
        skip();
    while (fgets(line, sizeof line, table))
        if (line[0] != '#' && sscanf(line, "%*s %*s %127s", name) == 1) {
            zone_compare(name);
            count++;
        }
    fclose(table);
    unsetenv("TZ");
    tzset();
    assert_true(count > 200);
}

/* ---- Rules ---- */

static const struct {
    const char *text;
    bool good;
} rules[] = {
    {"UTC0", true},
    {"<+0330>-3:30", true},
    {"CET-1CEST,M3.5.0,M10.5.0/3", true},
    {"EST5EDT,M3.2.0,M11.1.0", true},
    {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", true},
    {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", true},
    {"EET-2EEST,J60/0:30:15,365/167", true},
    {"XXX3EDT4,0/0,J365/23", true},
    {"", false},
    {"CE-1", false},
    {"CET", false},
    {"CET-1CEST", false},
    {"CET-1CEST,M3.5.0", false},
    {"CET-1CEST,M13.5.0,M10.5.0", false},
    {"CET-1CEST,M3.6.0,M10.5.0", false},
    {"CET-1CEST,M3.0.0,M10.5.0", false},
    {"CET-1CEST,M3.5.7,M10.5.0", false},
    {"CET-1CEST,J0,J365", false},
    {"CET-1CEST,366,J365", false},
    {"CET-1CEST,M3.5.0/168,M10.5.0", false},
    {"CET-25", false},
    {"CET-1:60", false},
    {"CET-1CEST,M3.5.0,M10.5.0 ", false},
    {"<CET-1", false},
    {"CET--1", false},
    {"CET-999999999999", false},
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct footer footer;
        if (footer_parse(&footer, rules[i].text, strlen(rules[i].text)) != rules[i].good)
            fail_msg("'%s'", rules[i].text);
    }
}

/* ---- Damaged files ---- */

/* What is accepted is in order, and its spans join. */
static void assert_sane(const struct zone *zone)
{
    struct zone_span span = zone_span(zone, INT64_MIN);
    assert_int_equal(span.from_s, INT64_MIN);
    for (int count = 0; span.until_s != INT64_MAX; count++) {
        struct zone_span next = zone_span(zone, span.until_s);
        assert_int_equal(next.from_s, span.until_s);
        assert_true(next.until_s > next.from_s && next.offset_s != span.offset_s);
        assert_true(next.offset_s > -90000 && next.offset_s < 93600);
        assert_true(next.reached_s >= span.until_s + span.offset_s);
        assert_true(count < 6000);
        span = next;
    }
}

static void assert_sound(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1); /* so that a byte too far is found */
    struct err err;
    memcpy(copy, bytes, size);
    struct zone *zone = zone_new_bytes("Some/Where", copy, size, &err);
    if (zone)
        assert_sane(zone);
    else
        assert_non_null(strstr(err.text, "time zone 'Some/Where': its file is damaged: "));
    zone_free(zone);
    free(copy);
}

static void damage(const char *name)
{
    static unsigned char bytes[FILE_MAX], changed[FILE_MAX];
    char path[256];
    snprintf(path, sizeof path, ZONE_DIRECTORY "/%s", name);
    size_t size = file_read(path, bytes);
    for (size_t cut = 0; cut < size; cut++)
        if (cut % 16 == 0 || cut < 64 || cut + 64 > size)
            assert_sound(bytes, cut);
    for (int i = 0; i < MUTATIONS / 10; i++) {
        memcpy(changed, bytes, size);
        for (uint64_t n = 1 + random_number(4); n > 0; n--) {
            /* a third of them each in the first header, the rule, anywhere */
            size_t ranges[] = {44, 40, size};
            uint64_t kind = random_number(3);
            size_t at = random_number(ranges[kind] < size ? ranges[kind] : size);
            changed[kind == 1 ? size - 1 - at : at] = (unsigned char)random_number(256);
        }
        assert_sound(changed, size);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Europe/Berlin", "America/New_York",  "Australia/Lord_Howe", "Africa/Casablanca",
        "Asia/Tokyo",    "America/Sao_Paulo", "Pacific/Apia",        "Asia/Tehran",
        "Etc/GMT-14",    "Antarctica/Troll"};
    struct err err;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        damage(names[i]);
    struct zone *right = zone_new(NULL, "right/Europe/Berlin", &err);
    assert_null(right);
    assert_true(strstr(err.text, "leap seconds") || strstr(err.text, "is unknown"));
}

/* A file of the rule alone; summer all year round, and a change that passes the end of the year. */
static struct zone *zone_of_rule(const char *rule)
{
    unsigned char bytes[256] = {0};
    static const unsigned char types[] = {0, 0, 0, 0, 0, 0, 'U', 'T', 'C', 0};
    size_t size = 0;
    for (int block = 0; block < 2; block++) {
        memcpy(bytes + size, "TZif2", 5);
        bytes[size + 39] = 1; /* types */
        bytes[size + 43] = 4; /* bytes of names */
        memcpy(bytes + size + 44, types, sizeof types);
        size += 44 + sizeof types;
    }
    size += (size_t)snprintf((char *)bytes + size, sizeof bytes - size, "\n%s\n", rule);
    struct err err;
    struct zone *zone = zone_new_bytes("Rule", bytes, size, &err);
    if (!zone)
        fail_msg("%s", err.text);
    return zone;
}

static void test_rule_spans(void **state)
{
    (void)state;
    struct zone *zone = zone_of_rule("XXX3EDT4,0/0,J365/23"); /* RFC 9636: summer time all year */
    assert_sane(zone);
    assert_int_equal(zone_offset_s(zone, 1767225600), -4 * 3600);
    assert_int_equal(zone_offset_s(zone, 1782864000), -4 * 3600);
    zone_free(zone);
    zone = zone_of_rule("AAA0BBB,M12.5.0/167,M1.1.0/-167");
    assert_sane(zone);
    zone_free(zone);
    zone = zone_of_rule("AAA0AAB0,M3.5.0,M10.5.0");
    assert_int_equal(zone_span(zone, 0).until_s, INT64_MAX);
    zone_free(zone);
    zone = zone_of_rule("AAA0BBB,J1/0,J1/0");
    assert_sane(zone);
    zone_free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_directory),
        cmocka_unit_test(test_set),        cmocka_unit_test(test_same_as_libc),
        cmocka_unit_test(test_rules),      cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_rule_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
