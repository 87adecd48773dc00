/* errand test KIND [ARGS...] */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/migration_set.h"
#include "cli/scratch.h"
#include "cli/session.h"
#include "cli/slurp.h"
#include "cli/test_print.h"
#include "isolate/isolate.h"
#include "kind/directory.h"
#include "trial/recorder.h"
#include "trial/trial.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command_flag cmd_test_flags[] = {
    {"http", "FILE", "recorded answers to its requests"},
    {"record", "FILE", "sends its requests, and writes the answers to the file"},
    {"sql", "FILE", "runs it in the database first; may be given again"},
    {"step", "NAME=JSON", "a step that was taken before; may be given again"},
    {"signal", "NAME[=JSON]", "one that was sent; without JSON: the wait for it is over"},
    {"attempt", "N", "which attempt it is (default 1)"},
    {"id", "N", "the job's id (default 1)"},
    {"database", "URL", "runs in this database, made for tests, where all that it does stays"},
    {"only", "SET[,SET]", "only these sets of migrations in the test's own database"},
    {"keep", NULL, "does not remove the test's own database"},
    {NULL, NULL, NULL},
};

enum { FILE_MAX_BYTES = 64 << 20 };

struct test {
    const struct cli *cli;
    struct registry registry;
    struct kind_directory directory; /* path NULL: none is looked at */
    const struct kind *kind;
    char **args;
    size_t count;
    unsigned sets;
    json_t *steps, *signals;
    struct tape tape;
    struct recorder *recorder;
    struct clock_offset clock;
};

/* ---- What was asked for ---- */

/* NAME=JSON; is_list: as an array, which is empty where there is no JSON. False: told. */
static bool test_add_pair(const struct cli *cli, json_t *pairs, const char *flag, const char *text,
                          bool is_list)
{
    const char *equals = strchr(text, '=');
    char *name = equals ? mem_strndup(text, (size_t)(equals - text)) : mem_strdup(text);
    json_t *value = equals ? json_loads(equals + 1, JSON_DECODE_ANY, NULL) : NULL;
    bool ok = *name && (value || (is_list && !equals));
    if (is_list && ok) {
        json_t *list = json_array();
        if (value)
            json_array_append_new(list, value);
        value = list;
    }
    if (ok)
        json_object_set_new(pairs, name, value);
    else
        failure_usage(cli, "In the shell: --step 'outline={\"pages\": 3}'",
                      "--%s is '%.80s'; it takes a name, = and JSON", flag, text);
    free(name);
    return ok;
}

static bool test_read_pairs(const struct cli *cli, json_t *pairs, const char *flag, bool is_list)
{
    const char *text;
    for (size_t at = 0; (text = cli_flag_next(cli, flag, &at));)
        if (!test_add_pair(cli, pairs, flag, text, is_list))
            return false;
    return true;
}

static bool test_read_flags(struct test *test)
{
    const struct cli *cli = test->cli;
    const char *only = cli_flag(cli, "only");
    struct err err = {0};
    if (only && !migration_set_parse(only, &test->sets, &err)) {
        failure_usage(cli, "", "flag --only: %s", err.text);
        return false;
    }
    if (cli_flag(cli, "http") && cli_flag(cli, "record")) {
        failure_usage(cli, "Record first, then run with --http.",
                      "--http and --record exclude each other");
        return false;
    }
    return cli_number(cli, "--attempt", cli_flag(cli, "attempt"), 1, 1000) &&
           cli_number(cli, "--id", cli_flag(cli, "id"), 1, 9223372036854775807LL) &&
           test_read_pairs(cli, test->steps, "step", false) &&
           test_read_pairs(cli, test->signals, "signal", true);
}

/* Args are JSON, or the file that they stand in. */
static bool test_read_args(struct test *test)
{
    const struct cli *cli = test->cli;
    test->count = cli->arg_count > 1 ? cli->arg_count - 1 : 1;
    test->args = mem_zalloc(test->count * sizeof *test->args);
    for (size_t i = 0; i < test->count; i++) {
        const char *argument = cli->arg_count > 1 ? cli->args[i + 1] : "{}";
        struct err err = {0};
        struct buf text;
        buf_init(&text, FILE_MAX_BYTES);
        bool ok = *argument == '{' || *argument == '[' || *argument == '@'
                      ? slurp_argument(&text, argument, &err)
                      : slurp_file(&text, argument, &err);
        if (!ok) {
            buf_clear(&text);
            failure_usage(cli, "", "%s", err.text);
            return false;
        }
        test->args[i] = buf_steal(&text);
    }
    return true;
}

static bool test_read_tape(struct test *test, int *status)
{
    const struct cli *cli = test->cli;
    const char *path = cli_flag(cli, "http");
    struct err err = {0};
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    bool ok = (path ? slurp_file(&text, path, &err) : buf_add_text(&text, "[]")) &&
              tape_parse(&test->tape, buf_text(&text), path ? path : "", &err);
    buf_clear(&text);
    ok = ok && recorder_new(&test->recorder, cli_flag(cli, "record") ? NULL : &test->tape, &err);
    if (!ok)
        *status = failure_tell(cli, FAILURE_USAGE, err.text, "");
    return ok;
}

/* ---- The kind ---- */

static const struct errand_module *module_of_kind(const struct cli *cli, const char *name)
{
    for (size_t i = 0; cli->modules[i]; i++)
        for (size_t k = 0; k < cli->modules[i]->kind_count; k++)
            if (strcmp(cli->modules[i]->kinds[k].name, name) == 0)
                return cli->modules[i];
    return NULL;
}

static int kind_missing(const struct test *test, const char *name)
{
    char message[400];
    size_t length = strlen(name);
    for (const struct kind_slot *slot = test->directory.slots; slot; slot = slot->next)
        if (slot->reason && strncmp(slot->name, name, length) == 0) {
            snprintf(message, sizeof message, "%.100s is refused: %.250s", slot->name,
                     slot->reason);
            return failure_tell(test->cli, FAILURE_FAILED, message, "");
        }
    snprintf(message, sizeof message, "no kind %.80s is linked in or loaded", name);
    return failure_tell(test->cli, FAILURE_NOT_FOUND, message,
                        "`errand plugins` lists what there is.");
}

/* Starts the kind's own module alone: what others need to be told is of no interest. */
static bool test_find_kind(struct test *test, int *status)
{
    const struct cli *cli = test->cli;
    const struct errand_module *modules[] = {module_of_kind(cli, cli->args[0]), NULL};
    const char *path = settings_text(cli->settings, "errand", "jobs");
    struct err err = {0};
    if (!isolate_settle(modules, cli->settings, &err) ||
        !registry_add(&test->registry, modules, &err) ||
        !registry_start(&test->registry, cli->settings, &err)) {
        *status = failure_tell(cli, FAILURE_FAILED, err.text, "");
        return false;
    }
    if (!modules[0] && path) {
        kind_directory_init(&test->directory, path, &test->registry);
        kind_directory_scan(&test->directory, true);
    }
    test->kind = registry_find(&test->registry, cli->args[0]);
    if (!test->kind) {
        *status = kind_missing(test, cli->args[0]);
        return false;
    }
    if (test->count > (size_t)test->kind->batch_max) {
        *status = failure_usage(cli, "", "kind %s takes at most %d jobs at once", test->kind->name,
                                test->kind->batch_max);
        return false;
    }
    return true;
}

/* ---- The database ---- */

static bool test_run_script(const struct test *test, struct session *session, const char *path,
                            int *status)
{
    struct err err = {0};
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    bool ok = slurp_file(&text, path, &err);
    if (!ok)
        *status = failure_usage(test->cli, "", "%s", err.text);
    else if (!(ok = session_script(session, buf_text(&text), &err)))
        *status = failure_statement(test->cli, session, path, &err);
    buf_clear(&text);
    return ok;
}

/* The args in PostgreSQL's own form, and its clock. */
static bool test_begin(struct test *test, struct session *session, int *status)
{
    for (size_t i = 0; i < test->count; i++) {
        const char *const params[] = {test->args[i]};
        const struct ask ask = {CLI_SQL_TEST_BEGIN, 1, params, "the args are not valid"};
        struct session_rows *rows;
        int64_t sent_us = clock_mono_us();
        if (!ask_rows(test->cli, session, &ask, &rows, status))
            return false;
        clock_offset_sample(&test->clock, sent_us, clock_mono_us(),
                            strtoll(session_rows_text(rows, 0, 1), NULL, 10));
        free(test->args[i]);
        test->args[i] = mem_strdup(session_rows_text(rows, 0, 0));
        session_rows_free(rows);
    }
    return true;
}

static bool test_prepare(struct test *test, const struct scratch *scratch, int *status)
{
    struct session *session;
    const char *path;
    bool ok = true;
    if (!scratch_open(scratch, test->cli, &session, status))
        return false;
    for (size_t at = 0; ok && (path = cli_flag_next(test->cli, "sql", &at));)
        ok = test_run_script(test, session, path, status);
    ok = ok && test_begin(test, session, status);
    session_close(session);
    return ok;
}

/* ---- What came of it ---- */

static void report_fill_requests(json_t *report, struct recorder *recorder)
{
    json_t *calls = json_object_get(report, "calls"), *requests = recorder_requests(recorder);
    size_t at = 0;
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *call = json_array_get(calls, i);
        if (strcmp(json_string_value(json_object_get(call, "call")), "http") == 0)
            json_object_update(call, json_array_get(requests, at++));
    }
    json_decref(requests);
}

static bool test_write_record(const struct test *test, int *status)
{
    const char *path = cli_flag(test->cli, "record");
    char message[400];
    if (!path)
        return true;
    json_t *answers = recorder_recorded(test->recorder);
    bool ok = json_dump_file(answers, path, JSON_INDENT(2)) == 0;
    json_decref(answers);
    if (ok)
        return true;
    snprintf(message, sizeof message, "cannot write %.300s", path);
    *status = failure_tell(test->cli, FAILURE_FAILED, message, "");
    return false;
}

static int test_judge(const struct test *test, const json_t *report)
{
    const char *unmatched = recorder_unmatched(test->recorder);
    char message[600];
    int status = test_exit_status(report);
    if (!test_write_record(test, &status))
        return status;
    if (!unmatched)
        return status;
    snprintf(message, sizeof message, "no recorded answer for %.500s", unmatched);
    return failure_tell(
        test->cli, FAILURE_FAILED, message,
        "Add one to the file of --http, or record it: --record FILE sends requests.");
}

static int test_show(const struct test *test, json_t *report)
{
    report_fill_requests(report, test->recorder);
    json_object_set_new(report, "kind", json_string(test->kind->name));
    json_object_set_new(report, "answers_left", json_integer((json_int_t)tape_left(&test->tape)));
    if (test->cli->json) {
        json_dumpf(report, stdout, JSON_INDENT(1));
        putchar('\n');
    } else {
        test_print(report);
        if (tape_left(&test->tape))
            printf("%-9s%zu recorded answers were not asked for\n", "left", tape_left(&test->tape));
    }
    fflush(stdout);
    return test_judge(test, report);
}

/* ---- Running ---- */

static int test_run_in(struct test *test, const struct scratch *scratch)
{
    const struct cli *cli = test->cli;
    int status = FAILURE_FAILED;
    if (!test_prepare(test, scratch, &status))
        return status;
    const char *id = cli_flag(cli, "id"), *attempt = cli_flag(cli, "attempt");
    json_t *report = trial_run(&(struct trial_options){
        .settings = cli->settings,
        .kind = test->kind,
        .conninfo = scratch->conninfo,
        .schema = settings_text(cli->settings, "errand", "schema"),
        .clock = test->clock,
        .args = (const char *const *)test->args,
        .count = test->count,
        .id = id ? strtoll(id, NULL, 10) : 1,
        .attempt = attempt ? atoi(attempt) : 1,
        .steps = test->steps,
        .signals = test->signals,
        .route = recorder_route,
        .route_owner = test->recorder,
    });
    status = test_show(test, report);
    json_decref(report);
    return status;
}

static int test_run(struct test *test)
{
    const char *database = cli_flag(test->cli, "database");
    struct scratch scratch;
    int status = FAILURE_USAGE;
    if (!test_read_flags(test) || !test_read_args(test) || !test_read_tape(test, &status) ||
        !test_find_kind(test, &status))
        return status;
    if (database)
        scratch_use(&scratch, database);
    else if (!scratch_make(&scratch, test->cli, test->sets, &status))
        return status;
    status = test_run_in(test, &scratch);
    scratch_end(&scratch, cli_flag(test->cli, "keep") != NULL);
    return status;
}

int cmd_test(struct cli *cli)
{
    struct test test = {
        .cli = cli, .sets = MIGRATION_SET_ALL, .steps = json_object(), .signals = json_object()};
    log_configure(LOG_ERROR, LOG_LOGFMT); /* what it logs stands in the report */
    signal(SIGPIPE, SIG_IGN);
    registry_init(&test.registry);
    int status = test_run(&test);
    if (test.recorder)
        recorder_free(test.recorder);
    tape_clear(&test.tape);
    if (test.directory.path)
        kind_directory_clear(&test.directory);
    registry_clear(&test.registry);
    for (size_t i = 0; test.args && i < test.count; i++)
        free(test.args[i]);
    free(test.args);
    json_decref(test.steps);
    json_decref(test.signals);
    return status;
}
