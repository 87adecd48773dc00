#include "trial/tape.h"

#include "base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Reading ---- */

static bool body_hex_is_valid(const char *text)
{
    return strlen(text) % 2 == 0 && text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

static const char *headers_fault(json_t *headers)
{
    const char *name;
    json_t *value;
    if (headers && !json_is_object(headers))
        return "headers is no object";
    json_object_foreach(headers, name, value)
    {
        const char *text = json_string_value(value);
        if (!text || strpbrk(text, "\r\n"))
            return "a header's value is no text of one line";
    }
    return NULL;
}

/* A member that nobody reads; NULL: there is none. */
static const char *answer_unread(json_t *answer)
{
    static const char *const known[] = {"match",    "status",   "headers", "body",  "json",
                                        "body_hex", "delay_ms", "lost",    "repeat"};
    const char *name;
    json_t *value;
    json_object_foreach(answer, name, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            is_known = is_known || strcmp(name, known[i]) == 0;
        if (!is_known)
            return name;
    }
    return NULL;
}

static const char *answer_fault(json_t *answer)
{
    const json_t *match = json_object_get(answer, "match");
    const json_t *status = json_object_get(answer, "status");
    const json_t *delay = json_object_get(answer, "delay_ms");
    const json_t *hex = json_object_get(answer, "body_hex");
    if (!json_string_value(json_object_get(match, "url")))
        return "match.url is missing";
    if (status && (json_integer_value(status) < 200 || json_integer_value(status) > 599))
        return "status is not 200 to 599";
    if (delay && (!json_is_integer(delay) || json_integer_value(delay) < 0 ||
                  json_integer_value(delay) > INT_MAX))
        return "delay_ms is no number of milliseconds";
    if (json_object_get(answer, "body") && !json_is_string(json_object_get(answer, "body")))
        return "body is no text (json takes any value)";
    if (hex && (!json_is_string(hex) || !body_hex_is_valid(json_string_value(hex))))
        return "body_hex is no text of hexadecimal digits";
    return headers_fault(json_object_get(answer, "headers"));
}

static bool answer_check(json_t *answer, size_t number, const char *name, struct err *err)
{
    const char *unread = answer_unread(answer), *fault = answer_fault(answer);
    if (unread)
        return err_set(err, ERR_CONFIG,
                       "%.200s: answer %zu: '%.40s' is no member of an answer; there are: match, "
                       "status, headers, body, json, body_hex, delay_ms, lost, repeat",
                       name, number, unread);
    return !fault || err_set(err, ERR_CONFIG, "%.200s: answer %zu: %s", name, number, fault);
}

bool tape_parse(struct tape *tape, const char *text, const char *name, struct err *err)
{
    json_error_t error;
    *tape = (struct tape){.answers = json_loads(text, 0, &error)};
    if (!json_is_array(tape->answers)) {
        bool parsed = tape->answers != NULL;
        tape_clear(tape);
        return err_set(err, ERR_CONFIG, parsed ? "%.200s: it is no array" : "%.200s:%d: %s", name,
                       error.line, error.text);
    }
    tape->given = json_array();
    for (size_t i = 0; i < json_array_size(tape->answers); i++) {
        if (!answer_check(json_array_get(tape->answers, i), i + 1, name, err)) {
            tape_clear(tape);
            return false;
        }
        json_array_append_new(tape->given, json_false());
    }
    return true;
}

void tape_clear(struct tape *tape)
{
    json_decref(tape->answers);
    json_decref(tape->given);
    *tape = (struct tape){0};
}

/* ---- Matching ---- */

/* A "*" at the end stands for anything. */
static bool url_matches(const char *pattern, const char *url)
{
    size_t length = strlen(pattern);
    if (length > 0 && pattern[length - 1] == '*')
        return strncmp(pattern, url, length - 1) == 0;
    return strcmp(pattern, url) == 0;
}

static bool answer_matches(const json_t *answer, const char *method, const char *url)
{
    const json_t *match = json_object_get(answer, "match");
    const char *wanted = json_string_value(json_object_get(match, "method"));
    return (!wanted || strcmp(wanted, method) == 0) &&
           url_matches(json_string_value(json_object_get(match, "url")), url);
}

const json_t *tape_take(struct tape *tape, const char *method, const char *url, size_t *number)
{
    for (size_t i = 0; i < json_array_size(tape->answers); i++) {
        const json_t *answer = json_array_get(tape->answers, i);
        if (json_is_true(json_array_get(tape->given, i)) || !answer_matches(answer, method, url))
            continue;
        if (!json_is_true(json_object_get(answer, "repeat")))
            json_array_set_new(tape->given, i, json_true());
        *number = i + 1;
        return answer;
    }
    return NULL;
}

size_t tape_left(const struct tape *tape)
{
    size_t left = 0;
    for (size_t i = 0; i < json_array_size(tape->answers); i++)
        left += !json_is_true(json_object_get(json_array_get(tape->answers, i), "repeat")) &&
                !json_is_true(json_array_get(tape->given, i));
    return left;
}

/* ---- Bodies ---- */

static char *body_from_hex(const char *text, size_t *length)
{
    *length = strlen(text) / 2;
    char *body = mem_zalloc(*length + 1);
    for (size_t i = 0; i < *length; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1]};
        body[i] = (char)strtol(pair, NULL, 16);
    }
    return body;
}

char *tape_body(const json_t *answer, size_t *length)
{
    const json_t *json = json_object_get(answer, "json"), *text = json_object_get(answer, "body");
    const char *hex = json_string_value(json_object_get(answer, "body_hex"));
    if (hex)
        return body_from_hex(hex, length);
    char *body = json   ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY)
                 : text ? mem_strndup(json_string_value(text), json_string_length(text))
                        : mem_strdup("");
    *length = text && !json ? json_string_length(text) : strlen(body);
    return body;
}

json_t *tape_record(const char *method, const char *url, int status, json_t *headers,
                    const char *body, size_t length)
{
    json_t *answer = json_pack("{s:{s:s, s:s}, s:i, s:o}", "match", "method", method, "url", url,
                               "status", status, "headers", headers);
    /* NULL: it is no UTF-8, or has a NUL, which JSON files had better not. */
    json_t *text = memchr(body, '\0', length) ? NULL : json_stringn(body, length);
    if (text) {
        json_object_set_new(answer, "body", text);
        return answer;
    }
    char *hex = mem_zalloc(2 * length + 1);
    for (size_t i = 0; i < length; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)body[i]);
    json_object_set_new(answer, "body_hex", json_string(hex));
    free(hex);
    return answer;
}
