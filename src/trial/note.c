#include "trial/note.h"

#include <stdlib.h>
#include <string.h>

json_t *note_text(const char *text, size_t length)
{
    json_t *value = text ? json_stringn(text, length) : json_null();
    return value ? value : json_sprintf("(%zu bytes that are no text)", length);
}

static json_t *note_string(const char *text)
{
    return note_text(text, text ? strlen(text) : 0);
}

json_t *note_value(const char *json)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    return value ? value : note_string(json); /* what jansson cannot hold */
}

json_t *note_statement(const char *call, const struct db_statement *statement,
                       const struct err *err)
{
    json_t *params = json_array();
    for (int i = 0; i < statement->count; i++) {
        bool is_binary = statement->lengths && statement->lengths[i] > 0;
        json_array_append_new(params, is_binary ? json_string("(binary)")
                                                : note_string(statement->params[i]));
    }
    const char *name = statement->statement->name;
    json_t *note =
        json_pack("{s:s, s:o, s:o}", "call", call, "statement",
                  note_string(name ? name : statement->statement->text), "params", params);
    if (err->code != ERR_NONE) {
        json_object_set_new(note, "error", note_string(err->text));
        return note;
    }
    const char *touched = PQcmdTuples(statement->result);
    int rows = *touched ? atoi(touched) : PQntuples(statement->result);
    json_object_set_new(note, "rows", json_integer(rows));
    return note;
}

json_t *note_child(const struct errand_child *child, const struct errand_child_result *result)
{
    static const char *const ends[] = {
        [ERRAND_CHILD_EXITED] = "exited",       [ERRAND_CHILD_SIGNALED] = "signaled",
        [ERRAND_CHILD_NOT_RUN] = "not run",     [ERRAND_CHILD_TIMEOUT] = "timeout",
        [ERRAND_CHILD_CANCELLED] = "cancelled",
    };
    json_t *argv = json_array();
    for (size_t i = 0; child->argv && child->argv[i]; i++)
        json_array_append_new(argv, note_string(child->argv[i]));
    json_t *note =
        json_pack("{s:s, s:o, s:s, s:i, s:I, s:I}", "call", "child", "argv", argv, "end",
                  ends[result->end], "status", result->status, "out_bytes",
                  (json_int_t)result->out_bytes, "err_bytes", (json_int_t)result->err_bytes);
    if (result->error)
        json_object_set_new(note, "error", note_string(result->error));
    return note;
}

/* ---- Outcomes ---- */

static const char *outcome_name(const struct errand_job *job)
{
    static const char *const names[] = {
        [OUTCOME_NONE] = "none",       [OUTCOME_DONE] = "done",   [OUTCOME_CANCELLED] = "cancelled",
        [OUTCOME_UNKNOWN] = "unknown", [OUTCOME_DEAD] = "dead",   [OUTCOME_RETRY] = "retry",
        [OUTCOME_SNOOZE] = "snooze",   [OUTCOME_WAIT] = "waiting"};
    bool failed = job->outcome.code == OUTCOME_RETRY || job->attempt->timed_out;
    if (job->outcome.code == OUTCOME_CANCELLED && job->attempt->timed_out)
        return job->number < job->max_attempts ? "retry" : "dead";
    return failed && job->outcome.code == OUTCOME_RETRY && job->number >= job->max_attempts
               ? "dead"
               : names[job->outcome.code];
}

json_t *note_outcome(const struct errand_job *job)
{
    const struct outcome *outcome = &job->outcome;
    json_t *note = json_pack("{s:I, s:s}", "id", (json_int_t)job->id, "outcome", outcome_name(job));
    if (outcome->code == OUTCOME_WAIT)
        json_object_set_new(note, "signal", note_string(outcome->text));
    else if (outcome->code == OUTCOME_CANCELLED && job->attempt->timed_out)
        json_object_set_new(note, "reason", json_string("timed out"));
    else if (outcome->text && *outcome->text)
        json_object_set_new(note, "reason", note_string(outcome->text));
    if (outcome->code == OUTCOME_RETRY && outcome->delay_ms >= 0)
        json_object_set_new(note, "delay_ms", json_integer(outcome->delay_ms));
    if (outcome->code == OUTCOME_SNOOZE)
        json_object_set_new(note, "delay_ms",
                            json_integer((outcome->run_at_us - errand_now_us(job)) / 1000));
    if (outcome->error_class)
        json_object_set_new(note, "error_class", note_string(outcome->error_class));
    if (outcome->result && outcome->code != OUTCOME_WAIT)
        json_object_set_new(note, "result", note_value(outcome->result));
    return note;
}
