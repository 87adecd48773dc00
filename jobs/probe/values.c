/* probe.values {"texts": ["a", null], "ints": [1, 2], "bytes": [0, 255], "json": {}}
 * sends each to the database in its type; its result is what came back, as the row's fields say. */
#include "values.h"

#include "probe_sql.h"

#include <string.h>

static const char *texts_param(struct errand_job *job, const json_t *list)
{
    size_t count = json_array_size(list);
    const char **values = errand_alloc(job, (count + 1) * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = json_string_value(json_array_get(list, i));
    return errand_array_text(job, count, values);
}

static const char *ints_param(struct errand_job *job, const json_t *list)
{
    size_t count = json_array_size(list);
    int64_t *values = errand_alloc(job, (count + 1) * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = json_integer_value(json_array_get(list, i));
    return errand_array_int(job, count, values);
}

static const char *bytes_param(struct errand_job *job, const json_t *list)
{
    size_t count = json_array_size(list);
    unsigned char *bytes = errand_alloc(job, count + 1);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)json_integer_value(json_array_get(list, i));
    return errand_bytea_text(job, bytes, count);
}

static json_t *bytes_shown(const struct errand_rows *rows, size_t column)
{
    size_t length;
    const unsigned char *bytes = errand_rows_bytes(rows, 0, column, &length);
    json_t *list = bytes ? json_array() : json_null();
    for (size_t i = 0; i < length; i++)
        json_array_append_new(list, json_integer(bytes[i]));
    return list;
}

static json_t *json_shown(const struct errand_rows *rows, size_t column)
{
    return json_deep_copy(errand_rows_json(rows, 0, column));
}

static json_t *row_shown(const struct errand_rows *rows)
{
    enum { TEXTS, INTS, BYTES, JSON, COUNT, AT, YES, NO, QUARTER, NOTHING };
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:b, s:b, s:f, s:o, s:o?, s:I, s:b}", "texts",
        json_shown(rows, TEXTS), "ints", json_shown(rows, INTS), "bytes", bytes_shown(rows, BYTES),
        "json", json_shown(rows, JSON), "count", (json_int_t)errand_rows_int(rows, 0, COUNT), "at",
        (json_int_t)errand_rows_int(rows, 0, AT), "yes", errand_rows_bool(rows, 0, YES), "no",
        errand_rows_bool(rows, 0, NO), "quarter", errand_rows_double(rows, 0, QUARTER), "no_bytes",
        bytes_shown(rows, NOTHING), "no_json", json_shown(rows, NOTHING), "no_int",
        (json_int_t)errand_rows_int(rows, 0, NOTHING), "no_bool",
        errand_rows_bool(rows, 0, NOTHING));
}

void probe_values(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    const struct errand_rows *rows;
    const char *error;
    const char *params[] = {texts_param(job, json_object_get(args, "texts")),
                            ints_param(job, json_object_get(args, "ints")),
                            bytes_param(job, json_object_get(args, "bytes")),
                            errand_json_text(job, json_object_get(args, "json")),
                            errand_time_text(job, 1234567890123456)};
    if (!errand_query(job, PROBE_SQL_VALUES, 5, params, &rows, &error)) {
        errand_fail(job, "%s", error);
        return;
    }
    json_t *shown = row_shown(rows);
    errand_result(job, shown, NULL);
    json_decref(shown);
}
