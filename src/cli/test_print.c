#include "cli/test_print.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_CHARS = 200 };

static const char *text_of(const json_t *note, const char *name)
{
    const char *text = json_string_value(json_object_get(note, name));
    return text ? text : "";
}

static long long number_of(const json_t *note, const char *name)
{
    return json_integer_value(json_object_get(note, name));
}

/* Any value, cut where it is long. */
static void print_value(const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    size_t length = text ? strlen(text) : 0;
    printf("%.*s%s", VALUE_CHARS, text ? text : "", length > VALUE_CHARS ? "..." : "");
    free(text);
}

static void print_rest(const json_t *note)
{
    const json_t *error = json_object_get(note, "error");
    if (error)
        printf(": %s\n", json_string_value(error));
    else
        printf(": %lld %s\n", number_of(note, "rows"),
               number_of(note, "rows") == 1 ? "row" : "rows");
}

static const char *skip_comments(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n");
        if (strncmp(text, "--", 2) != 0)
            return text;
        text += strcspn(text, "\n");
    }
}

/* A name, or a statement of a kind that is a file: on one line, cut where it is long. */
static void print_statement_text(const char *text)
{
    size_t chars = 0;
    for (text = skip_comments(text); *text && chars < VALUE_CHARS; chars++) {
        size_t blank = strspn(text, " \t\r\n");
        putchar(blank ? ' ' : *text);
        text += blank ? blank : 1;
    }
    printf("%s", *text ? "..." : "");
}

static void print_statement(const json_t *note)
{
    const json_t *params = json_object_get(note, "params");
    print_statement_text(text_of(note, "statement"));
    for (size_t i = 0; i < json_array_size(params); i++) {
        printf(i ? ", " : " (");
        print_value(json_array_get(params, i));
    }
    printf(json_array_size(params) ? ")" : "");
    print_rest(note);
}

static void print_http(const json_t *note)
{
    printf("%s %s (%lld bytes): ", text_of(note, "method"), text_of(note, "url"),
           number_of(note, "request_bytes"));
    if (json_object_get(note, "status"))
        printf("%lld, %lld bytes", number_of(note, "status"), number_of(note, "bytes"));
    else
        printf("no answer");
    if (json_object_get(note, "error"))
        printf(", %s", text_of(note, "error"));
    if (json_object_get(note, "answer"))
        printf(" (answer %lld)", number_of(note, "answer"));
    putchar('\n');
}

static void print_child(const json_t *note)
{
    const json_t *argv = json_object_get(note, "argv");
    for (size_t i = 0; i < json_array_size(argv); i++)
        printf("%s%s", i ? " " : "", json_string_value(json_array_get(argv, i)));
    printf(": %s %lld, %lld bytes out, %lld err\n", text_of(note, "end"), number_of(note, "status"),
           number_of(note, "out_bytes"), number_of(note, "err_bytes"));
}

static void print_step(const json_t *note)
{
    printf("%s: ", text_of(note, "name"));
    if (json_object_get(note, "result")) {
        printf("taken, ");
        print_value(json_object_get(note, "result"));
    } else {
        printf(json_is_true(json_object_get(note, "known")) ? "was taken before" : "not taken yet");
    }
    putchar('\n');
}

static void print_wait(const json_t *note)
{
    printf("%s: ", text_of(note, "name"));
    if (json_object_get(note, "payload"))
        print_value(json_object_get(note, "payload"));
    else
        printf(json_is_true(json_object_get(note, "timed_out")) ? "the time is up" : "it waits");
    putchar('\n');
}

static void print_log(const json_t *note)
{
    printf("%s %s\n", text_of(note, "level"), text_of(note, "text"));
}

/* rate, hold, pause, progress: all that it has. */
static void print_other(json_t *note)
{
    const char *name;
    json_t *value;
    bool first = true;
    json_object_foreach(note, name, value)
    {
        if (strcmp(name, "call") == 0)
            continue;
        printf("%s%s ", first ? "" : ", ", name);
        print_value(value);
        first = false;
    }
    putchar('\n');
}

static void print_call(json_t *note)
{
    static const struct {
        const char *call;
        void (*print)(const json_t *note);
    } printers[] = {{"sql", print_statement}, {"effect", print_statement}, {"http", print_http},
                    {"child", print_child},   {"step", print_step},        {"wait", print_wait},
                    {"log", print_log}};
    const char *call = text_of(note, "call");
    printf("%-9s", call);
    for (size_t i = 0; i < sizeof printers / sizeof *printers; i++)
        if (strcmp(printers[i].call, call) == 0) {
            printers[i].print(note);
            return;
        }
    print_other(note);
}

static void print_job(const json_t *job)
{
    printf("%-9s%s", "outcome", text_of(job, "outcome"));
    if (json_object_get(job, "signal"))
        printf(" for the signal %s", text_of(job, "signal"));
    if (json_object_get(job, "delay_ms"))
        printf(" in %lld ms", number_of(job, "delay_ms"));
    if (json_object_get(job, "error_class"))
        printf(" [%s]", text_of(job, "error_class"));
    if (json_object_get(job, "reason"))
        printf(": %s", text_of(job, "reason"));
    putchar('\n');
    if (!json_object_get(job, "result"))
        return;
    printf("%-9s", "result");
    print_value(json_object_get(job, "result"));
    putchar('\n');
}

void test_print(json_t *report)
{
    json_t *calls = json_object_get(report, "calls"), *jobs = json_object_get(report, "jobs");
    for (size_t i = 0; i < json_array_size(calls); i++)
        print_call(json_array_get(calls, i));
    for (size_t i = 0; i < json_array_size(jobs); i++)
        print_job(json_array_get(jobs, i));
}

int test_exit_status(const json_t *report)
{
    static const char *const outcomes[] = {"dead",      "retry",   "snooze",
                                           "cancelled", "unknown", "waiting"};
    const json_t *jobs = json_object_get(report, "jobs");
    for (size_t i = 0; i < json_array_size(jobs); i++)
        for (size_t k = 0; k < sizeof outcomes / sizeof *outcomes; k++)
            if (strcmp(text_of(json_array_get(jobs, i), "outcome"), outcomes[k]) == 0)
                return 10 + (int)k;
    return 0;
}
