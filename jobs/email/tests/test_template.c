/* Templates: what they render, how they fail, and that no bytes make them misbehave. */
#include "../template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct render_case {
    const char *text, *data;
    enum template_escape escape;
    const char *out; /* the text, or the error when it begins with "line " */
};

static const struct render_case cases[] = {
    {"", "{}", TEMPLATE_PLAIN, ""},
    {"plain { } text", "{}", TEMPLATE_PLAIN, "plain { } text"},
    {"Hi {{name}}!", "{\"name\":\"Zoë & <b>\"}", TEMPLATE_PLAIN, "Hi Zoë & <b>!"},
    {"Hi {{ name }}!", "{\"name\":\"\\\"Zoë\\\" & '<b>'\"}", TEMPLATE_HTML,
     "Hi &quot;Zoë&quot; &amp; &#39;&lt;b&gt;&#39;!"},
    {"{{{a}}}{{& a }}{{a}}", "{\"a\":\"<\"}", TEMPLATE_HTML, "<<&lt;"},
    {"{{user.name.first}}", "{\"user\":{\"name\":{\"first\":\"A\"}}}", TEMPLATE_PLAIN, "A"},
    {"{{n}} {{m}} {{t}} {{f}}",
     "{\"n\":9007199254740993,\"m\":-9223372036854775808,\"t\":true,\"f\":false}", TEMPLATE_PLAIN,
     "9007199254740993 -9223372036854775808 true false"},
    {"{{a}} {{b}} {{c}} {{d}} {{e}} {{f}}",
     "{\"a\":19.99,\"b\":0.1,\"c\":1e6,\"d\":-2.50,\"e\":1e-9,\"f\":0.30000000000000004}",
     TEMPLATE_PLAIN, "19.99 0.1 1000000 -2.5 1e-09 0.30000000000000004"},
    {"{{a}} {{b}} {{c}}", "{\"a\":1.7976931348623157e308,\"b\":0.0,\"c\":123456.789}",
     TEMPLATE_PLAIN, "1.7976931348623157e+308 0 123456.789"},
    {"{{#a}}[{{.}}]{{/a}}", "{\"a\":[1,\"x\",true]}", TEMPLATE_PLAIN, "[1][x][true]"},
    {"{{#a}}{{b}}{{c}},{{/a}}", "{\"c\":\"!\",\"a\":[{\"b\":1},{\"b\":2}]}", TEMPLATE_PLAIN,
     "1!,2!,"},
    {"{{#a}}{{b}}{{/a}}", "{\"a\":{\"b\":\"in\"},\"b\":\"out\"}", TEMPLATE_PLAIN, "in"},
    {"{{#a}}{{.}}{{/a}}", "{\"a\":\"x\"}", TEMPLATE_PLAIN, "x"},
    {"{{#a}}yes{{/a}}{{^a}}no{{/a}}", "{}", TEMPLATE_PLAIN, "no"},
    {"{{#a}}yes{{/a}}{{^a}}no{{/a}}", "{\"a\":null}", TEMPLATE_PLAIN, "no"},
    {"{{#a}}yes{{/a}}{{^a}}no{{/a}}", "{\"a\":[]}", TEMPLATE_PLAIN, "no"},
    {"{{#a}}yes{{/a}}{{^a}}no{{/a}}", "{\"a\":\"\"}", TEMPLATE_PLAIN, "no"},
    {"{{#a}}yes{{/a}}{{^a}}no{{/a}}", "{\"a\":0}", TEMPLATE_PLAIN, "no"},
    {"{{#a}}yes{{/a}}{{^a}}no{{/a}}", "{\"a\":{}}", TEMPLATE_PLAIN, "yes"},
    {"{{#a.b}}yes{{/a.b}}{{^a.c}}no{{/a.c}}", "{\"a\":{\"b\":1}}", TEMPLATE_PLAIN, "yesno"},
    {"{{#a}}{{#b}}{{.}}{{/b}};{{/a}}", "{\"a\":[{\"b\":[1,2]},{\"b\":[3]}]}", TEMPLATE_PLAIN,
     "12;3;"},
    {"a{{! no {{tag} here }}b", "{}", TEMPLATE_PLAIN, "ab"},
    {"Items:\n{{#a}}\n- {{.}}\n{{/a}}\nEnd", "{\"a\":[1,2]}", TEMPLATE_PLAIN,
     "Items:\n- 1\n- 2\nEnd"},
    {"a\r\n  {{! gone }}  \r\nb\r\n", "{}", TEMPLATE_PLAIN, "a\r\nb\r\n"},
    {"{{#a}} {{/a}}\nb", "{\"a\":1}", TEMPLATE_PLAIN, " \nb"},
    {"x\n  {{#a}}\ny\n  {{/a}}", "{\"a\":1}", TEMPLATE_PLAIN, "x\ny\n"},
    {"{{näme}}", "{\"näme\":\"ü\"}", TEMPLATE_HTML, "ü"},
    {"{{a}}", "{\"a\":\"\"}", TEMPLATE_PLAIN, ""},
    {"Hi\nthere {{name}}", "{}", TEMPLATE_PLAIN, "line 2, column 9: no value for 'name'"},
    {"é {{a.b}}", "{\"a\":{}}", TEMPLATE_PLAIN, "line 1, column 5: no value for 'a.b'"},
    {"{{#a}}{{b.c}}{{/a}}", "{\"a\":{\"b\":{}},\"b\":{\"c\":1}}", TEMPLATE_PLAIN,
     "line 1, column 9: no value for 'b.c'"},
    {"{{a}}", "{\"a\":null}", TEMPLATE_PLAIN, "line 1, column 3: null as the value of 'a'"},
    {"{{a}}", "{\"a\":[1]}", TEMPLATE_PLAIN, "line 1, column 3: 'a' is an array and no text"},
    {"{{.}}", "{}", TEMPLATE_PLAIN, "line 1, column 3: '.' is an object and no text"},
    {"a {{b", "{}", TEMPLATE_PLAIN, "line 1, column 3: this tag has no '}}'"},
    {"{{{b}}", "{}", TEMPLATE_PLAIN, "line 1, column 1: this tag has no '}}}'"},
    {"{{}}", "{}", TEMPLATE_PLAIN, "line 1, column 1: this tag has no name"},
    {"{{#a}}x", "{}", TEMPLATE_PLAIN, "line 1, column 4: 'a' is never closed"},
    {"x{{/a}}", "{}", TEMPLATE_PLAIN, "line 1, column 2: 'a' is closed but not open"},
    {"{{#a}}{{/b}}", "{}", TEMPLATE_PLAIN, "line 1, column 7: 'b' is closed where 'a' is open"},
    {"{{>a}}", "{}", TEMPLATE_PLAIN, "line 1, column 1: there are no partials ('{{>')"},
    {"{{=<% %>=}}", "{}", TEMPLATE_PLAIN,
     "line 1, column 1: the delimiters cannot be changed ('{{=')"},
    {"{{a b}}", "{}", TEMPLATE_PLAIN,
     "line 1, column 1: a name is made of letters, digits, '_' and '-', with single dots between "
     "its parts"},
    {"{{a..b}}", "{}", TEMPLATE_PLAIN,
     "line 1, column 1: a name is made of letters, digits, '_' and '-', with single dots between "
     "its parts"},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct render_case *c = &cases[i];
        struct template_error error;
        json_t *data = json_loads(c->data, 0, NULL);
        char *out;
        assert_non_null(data);
        bool ok = template_render(c->text, strlen(c->text), data, c->escape, 1000, &out, &error);
        assert_string_equal(ok ? out : error.text, c->out);
        assert_int_equal(ok, strncmp(c->out, "line ", 5) != 0);
        assert_int_equal(ok, out != NULL);
        free(out);
        json_decref(data);
    }
}

static void test_place(void **state)
{
    struct template_error error;
    char *out;
    (void)state;
    assert_false(template_render("a\nb\n {{x}}", 10, NULL, TEMPLATE_PLAIN, 100, &out, &error));
    assert_int_equal(error.line, 3);
    assert_int_equal(error.column, 4);
    assert_true(template_check("a {{x}}", 7, &error));
    assert_false(template_check("a {{#x}}", 8, &error));
}

static void test_nul(void **state)
{
    struct template_error error;
    json_t *data = json_pack("{s:s#}", "a", "x\0y", 3);
    char *out;
    (void)state;
    assert_false(template_render("x\0y", 3, data, TEMPLATE_PLAIN, 100, &out, &error));
    assert_string_equal(error.text, "line 1, column 2: a NUL character");
    assert_false(template_render("{{a}}", 5, data, TEMPLATE_HTML, 100, &out, &error));
    assert_string_equal(error.text, "line 1, column 3: 'a' holds a NUL character");
    json_decref(data);
}

static void test_size(void **state)
{
    struct template_error error;
    json_t *data = json_pack("{s:s}", "a", "&&&&");
    char *out;
    (void)state;
    assert_true(template_render("{{a}}", 5, data, TEMPLATE_HTML, 20, &out, &error));
    assert_int_equal(strlen(out), 20);
    free(out);
    assert_false(template_render("{{a}}", 5, data, TEMPLATE_HTML, 19, &out, &error));
    assert_string_equal(error.text, "line 1, column 3: the text grows past 19 bytes here");
    assert_true(template_render("", 0, data, TEMPLATE_HTML, 0, &out, &error));
    free(out);
    json_decref(data);
}

static void test_depth(void **state)
{
    char text[16 * (TEMPLATE_MAX_DEPTH + 1)] = "";
    struct template_error error;
    json_t *data = json_pack("{s:b}", "a", 1);
    char *out;
    (void)state;
    for (int i = 0; i < TEMPLATE_MAX_DEPTH; i++)
        strcat(text, "{{#a}}");
    for (int i = 0; i < TEMPLATE_MAX_DEPTH; i++)
        strcat(text, "{{/a}}");
    assert_true(template_render(text, strlen(text), data, TEMPLATE_HTML, 10, &out, &error));
    free(out);
    memmove(text + 6, text, strlen(text) + 1);
    assert_false(template_render(text, strlen(text), data, TEMPLATE_HTML, 10, &out, &error));
    assert_non_null(strstr(error.text, "more than 32 sections inside each other"));
    json_decref(data);
}

/* Sections over one array inside each other do 1000 to the power of 4 rounds and write nothing. */
static void test_steps(void **state)
{
    const char *text = "{{#a}}{{#a}}{{#a}}{{#a}}{{/a}}{{/a}}{{/a}}{{/a}}";
    struct template_error error;
    json_t *array = json_array(), *data = json_pack("{s:o}", "a", array);
    char *out;
    (void)state;
    for (int i = 0; i < 1000; i++)
        json_array_append_new(array, json_integer(1));
    assert_false(template_render(text, strlen(text), data, TEMPLATE_HTML, 10, &out, &error));
    assert_non_null(strstr(error.text, "more than 250000 steps of work"));
    json_decref(data);
}

static void test_random_bytes(void **state)
{
    static const char *const pieces[] = {
        "{{", "}}", "{{{",    "}}}",    "#",   "^", "/", "!", "a", ".",    "b",     " ",
        "\n", "\r", "{{#a}}", "{{/a}}", "{{^", "&", ">", "=", "x", "\xC3", "{{a}}", "{{b}}"};
    json_t *data = json_loads("{\"a\":[{\"b\":\"<\"},{\"b\":2}],\"b\":1.5}", 0, NULL);
    unsigned rendered = 0;
    (void)state;
    srand(20260101);
    for (int round = 0; round < 20000; round++) {
        char text[256] = "";
        struct template_error error;
        char *out;
        for (int i = rand() % 24; i > 0; i--)
            strcat(text, pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)]);
        if (template_render(text, strlen(text), data, TEMPLATE_HTML, 200, &out, &error)) {
            assert_true(strlen(out) <= 200);
            rendered++;
        } else {
            assert_true(error.text[0] != '\0');
        }
        free(out);
    }
    assert_true(rendered > 100);
    json_decref(data);
}

static void test_random_text(void **state)
{
    (void)state;
    for (int round = 0; round < 5000; round++) {
        char text[64];
        struct template_error error;
        size_t length = (size_t)rand() % sizeof text;
        char *out;
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(rand() % 3 ? rand() % 256 : "{}#/"[rand() % 4]);
        template_render(text, length, NULL, TEMPLATE_PLAIN, 100, &out, &error);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),        cmocka_unit_test(test_place),
        cmocka_unit_test(test_nul),          cmocka_unit_test(test_size),
        cmocka_unit_test(test_depth),        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_random_bytes), cmocka_unit_test(test_random_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
