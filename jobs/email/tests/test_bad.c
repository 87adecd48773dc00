/* Bad input, a file a case, and beside it NAME.error with the one line that must come out:
 *   bad/message/NAME.json       a row of scheduled_messages; refused with that failure_reason
 *   bad/template/NAME.mustache  rendered with {"name": "Zoë", "list": [1, null]}; that error
 *   bad/answer/NAME.body        came with a 200, the outcome is unknown; that reason
 *
 * An answer's NAME begins with batch- when two mails went out in a batch. The folder is the first
 * argument, or lies beside this file. */
#include "../answer.h"
#include "../message.h"
#include "../template.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char folder[1024];

struct bytes {
    char data[65536];
    size_t length;
};

static void file_read(struct bytes *bytes, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    bytes->length = fread(bytes->data, 1, sizeof bytes->data - 1, file);
    bytes->data[bytes->length] = '\0';
    fclose(file);
}

typedef void case_fn(const char *name, const struct bytes *input, char *text, size_t size);

static void case_run(const char *kind, const char *name, const char *suffix, case_fn *run)
{
    static struct bytes input, expected;
    char path[2048], text[1024] = "";
    snprintf(path, sizeof path, "%s/%s/%s%s", folder, kind, name, suffix);
    file_read(&input, path);
    snprintf(path, sizeof path, "%s/%s/%s.error", folder, kind, name);
    file_read(&expected, path);
    expected.data[strcspn(expected.data, "\n")] = '\0';
    run(name, &input, text, sizeof text);
    if (strcmp(text, expected.data) != 0)
        fail_msg("%s/%s: got '%s', expected '%s'", kind, name, text, expected.data);
}

static void folder_run(const char *kind, const char *suffix, case_fn *run)
{
    char path[2048];
    const struct dirent *entry;
    DIR *opened;
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", folder, kind);
    opened = opendir(path);
    assert_non_null(opened);
    while ((entry = readdir(opened))) {
        char name[256];
        snprintf(name, sizeof name, "%s", entry->d_name);
        char *dot = strrchr(name, '.');
        if (!dot || dot == name || strcmp(dot, suffix) != 0)
            continue;
        *dot = '\0';
        case_run(kind, name, suffix, run);
        count++;
    }
    closedir(opened);
    assert_true(count > 0);
}

static void message_case(const char *name, const struct bytes *input, char *text, size_t size)
{
    static const struct message_template templates[] = {
        {"hello", "Hi {{name}}", "<p>{{name}}</p>", NULL}, {"blank", "Hi", "{{! nothing }}", NULL}};
    const struct message_settings settings = {
        .from = "hi@acme.com", .templates = templates, .template_count = 2, .max_body_bytes = 200};
    json_t *json = json_loadb(input->data, input->length, JSON_ALLOW_NUL, NULL);
    struct message_row row = {.id = "00000000-0000-4000-8000-000000000001"};
    struct message message;
    struct email_error error = {""};
    if (!json)
        fail_msg("%s is no JSON", name);
    row.message_type = json_string_value(json_object_get(json, "message_type"));
    row.subject = json_string_value(json_object_get(json, "subject"));
    row.recipient = json_string_value(json_object_get(json, "recipient_email"));
    row.content = json_object_get(json, "content");
    if (message_build(&message, &row, &settings, &error))
        snprintf(text, size, "built %.900s", message.bytes);
    else
        snprintf(text, size, "%s", error.text);
    message_clear(&message);
    json_decref(json);
}

static void template_case(const char *name, const struct bytes *input, char *text, size_t size)
{
    json_t *data = json_loads("{\"name\":\"Zoë\",\"list\":[1,null]}", 0, NULL);
    struct template_error error;
    char *out;
    (void)name;
    if (template_render(input->data, input->length, data, TEMPLATE_HTML, 100, &out, &error))
        snprintf(text, size, "rendered %s", out);
    else
        snprintf(text, size, "%s", error.text);
    free(out);
    json_decref(data);
}

static void answer_case(const char *name, const struct bytes *input, char *text, size_t size)
{
    const bool batch = strncmp(name, "batch-", 6) == 0;
    const struct answer_input said = {.transport = ANSWER_ARRIVED,
                                      .status = 200,
                                      .body = input->data,
                                      .body_length = input->length,
                                      .batch = batch,
                                      .item_count = batch ? 2 : 1};
    struct answer answer;
    answer_read(&answer, &said);
    if (answer.action == ANSWER_RETRY)
        snprintf(text, size, "%s", answer.reason);
    else
        snprintf(text, size, "%s", answer_action_name(answer.action));
    answer_clear(&answer);
}

static void test_messages(void **state)
{
    (void)state;
    folder_run("message", ".json", message_case);
}

static void test_templates(void **state)
{
    (void)state;
    folder_run("template", ".mustache", template_case);
}

static void test_answers(void **state)
{
    (void)state;
    folder_run("answer", ".body", answer_case);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_answers),
    };
    const char *slash = strrchr(__FILE__, '/');
    if (argc > 1)
        snprintf(folder, sizeof folder, "%s", argv[1]);
    else
        snprintf(folder, sizeof folder, "%.*s/bad", slash ? (int)(slash - __FILE__) : 1,
                 slash ? __FILE__ : ".");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
