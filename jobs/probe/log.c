/* {"log": ["text", {"warn": "text"}, [255, 65]]}   lines: of level info, of a named one, and of
 *                                                 bytes, which need be no text and may be 0
 * {"log_count": 300, "log_pad": 2000}             so many lines more, with their numbers, and with
 *                                                 blanks up to a length */
#include "log.h"

#include <string.h>

/* With a 0 in the middle a text for %s ends: what stands behind it comes by itself. */
static void log_bytes(struct errand_job *job, const json_t *list)
{
    size_t count = json_array_size(list);
    char *bytes = errand_alloc(job, count + 1);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)json_integer_value(json_array_get(list, i));
    size_t first = strlen(bytes);
    if (first < count)
        errand_log(job, ERRAND_INFO, "%s%c%s", bytes, 0, bytes + first + 1);
    else
        errand_log(job, ERRAND_INFO, "%s", bytes);
}

static void log_level(struct errand_job *job, const json_t *line)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (int level = ERRAND_DEBUG; level <= ERRAND_ERROR; level++) {
        const char *text = json_string_value(json_object_get(line, names[level]));
        if (text)
            errand_log(job, (enum errand_level)level, "%s", text);
    }
}

void probe_log(struct errand_job *job, const json_t *args)
{
    const json_t *lines = json_object_get(args, "log"), *line;
    json_int_t count = json_integer_value(json_object_get(args, "log_count"));
    int pad = (int)json_integer_value(json_object_get(args, "log_pad"));
    size_t i;
    json_array_foreach(lines, i, line)
    {
        if (json_is_string(line))
            errand_log(job, ERRAND_INFO, "%s", json_string_value(line));
        else if (json_is_array(line))
            log_bytes(job, line);
        else
            log_level(job, line);
    }
    for (json_int_t n = 1; n <= count; n++)
        errand_log(job, ERRAND_INFO, "%*sline %" JSON_INTEGER_FORMAT, pad, "", n);
}
