/* script: where statements end, which colons are parameters, and what is left alone. */
#include "kind/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define ARGS "::pg_catalog.jsonb)"

/* The statements joined by |, each with the letters of its parameters before it. */
static const char *parsed(struct arena *arena, const char *text)
{
    static const char letters[] = "aidt";
    struct script script;
    struct err err = {0};
    const char *said = "";
    if (!script_parse(&script, arena, text, &err))
        return arena_printf(arena, "! %s", err.text);
    for (size_t i = 0; i < script.count; i++) {
        assert_null(script.statements[i].name);
        char used[SCRIPT_PARAMETERS + 1] = "";
        for (size_t j = 0; j < script.uses[i].count; j++)
            used[j] = letters[script.uses[i].of[j]];
        said =
            arena_printf(arena, "%s%s%s:%s", said, i ? "|" : "", used, script.statements[i].text);
    }
    return said;
}

static void check(const char *text, const char *expected)
{
    struct arena arena;
    arena_init(&arena);
    assert_string_equal(parsed(&arena, text), expected);
    arena_clear(&arena);
}

static void test_statements(void **state)
{
    (void)state;
    check("select 1", ":select 1");
    check("select 1;", ":select 1");
    check("select 1; select 2;\n;;\n", ":select 1|: select 2");
    check("select 1; -- the end\n", ":select 1");
    check("create rule r as on insert to t do (select 1; select 2); select 3",
          ":create rule r as on insert to t do (select 1; select 2)|: select 3");
    check("'a';\"b\";$$c$$", ":'a'|:\"b\"|:$$c$$");
}

static void test_parameters(void **state)
{
    (void)state;
    check("select :args", "a:select ($1" ARGS);
    check("select :args->>'x', :args, :id, :attempt",
          "aid:select ($1" ARGS "->>'x', ($1" ARGS
          ", ($2::pg_catalog.int8), ($3::pg_catalog.int4)");
    check("select :attempt; select :id, :args",
          "d:select ($1::pg_catalog.int4)|ia: select ($1::pg_catalog.int8), ($2" ARGS);
    check("select(:args)", "a:select(($1" ARGS ")");
}

static void test_colons_that_are_none(void **state)
{
    (void)state;
    check("select 1::args, a[1:2], a[x : args], f(n := 1), x::text::id",
          ":select 1::args, a[1:2], a[x : args], f(n := 1), x::text::id");
}

static void test_what_is_left_alone(void **state)
{
    static const char *const alone[] = {
        "select ':args; '' :id'",
        "select \":args;\"\" :id\"",
        "select -- :args; it's\n1",
        "select /* :args; /* ' */ :id */ 1",
        "select $$ :args; ' $$",
        "select $a$ :args; $$ $b$ :id $a$",
        "select $\xC3\xA4$ :id $\xC3\xA4$",
        "select e'\\' :args;', E'\\\\'",
        "select a$x$b, 1",
        "select U&'d\\0061t :args'",
    };
    (void)state;
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        char expected[200] = ":";
        check(alone[i], strcat(expected, alone[i]));
    }
    check("select a$x$;:id", ":select a$x$|i:($1::pg_catalog.int8)");
    check("select like'\\'; select :id", ":select like'\\'|i: select ($1::pg_catalog.int8)");
}

static void test_trace(void **state)
{
    (void)state;
    check("select :trace, :id, :trace",
          "ti:select ($1::pg_catalog.text), ($2::pg_catalog.int8), ($1::pg_catalog.text)");
}

static void test_faults(void **state)
{
    (void)state;
    check("", "! there is no statement in it");
    check("-- nothing\n;/* here */", "! there is no statement in it");
    check("select 1,\n:arg", "! line 2: :arg is no parameter: there are :args, :id, :attempt and "
                             ":trace (in a slice, put a blank behind the colon)");
    check("select $1", "! line 1: $1: a parameter is written :args, :id, :attempt or :trace");
    check("select 1;\n\nselect 'x", "! line 3: 'x: what begins here does not end");
    check("select /* /* */", "! line 1: /*: what begins here does not end");
    check("select $a$ $$", "! line 1: $a: what begins here does not end");
    check("select 1; Commit", "! line 1: Commit: begin and end of the transaction are errand's");
    check("begin; select 1", "! line 1: begin: begin and end of the transaction are errand's");
    check("-- x\nset x = 1", "! line 2: set is not for a job: others use the connection, too");
    check("copy t from stdin", "! line 1: copy is not for a job: others use the connection, too");
}

static void test_very_many(void **state)
{
    char text[2 * (SCRIPT_STATEMENTS_MAX + 1) + 1];
    struct script script;
    struct arena arena;
    struct err err = {0};
    (void)state;
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "1;", 3);
    arena_init(&arena);
    assert_false(script_parse(&script, &arena, text, &err));
    assert_string_equal(err.text, "line 1: there are more than 100 statements");
    text[sizeof text - 3] = '\0';
    assert_true(script_parse(&script, &arena, text, &err));
    assert_int_equal(script.count, SCRIPT_STATEMENTS_MAX);
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_colons_that_are_none),
        cmocka_unit_test(test_what_is_left_alone),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_very_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
