/* What a trial tells of one call, as JSON. */
#ifndef TRIAL_NOTE_H
#define TRIAL_NOTE_H

#include "db/unit.h"
#include "module/attempt.h"

/* Text as a JSON string, whatever bytes it has; NULL as null. */
json_t *note_text(const char *text, size_t length);
/* JSON text as a value. */
json_t *note_value(const char *json);
/* call: "sql" or "effect". A statement without a name is told by its text. */
json_t *note_statement(const char *call, const struct db_statement *statement,
                       const struct err *err);
json_t *note_child(const struct errand_child *child, const struct errand_child_result *result);
/* "outcome", "reason", "result" ... */
json_t *note_outcome(const struct errand_job *job);

#endif
