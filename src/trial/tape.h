/* Recorded answers to HTTP requests: a JSON array of {"match": {"method", "url"}, "status",
 * "headers", "body" | "json" | "body_hex", "delay_ms", "lost", "repeat"}. A request gets the first
 * one that matches and was not given yet (or is to be repeated). Knows no network. */
#ifndef TRIAL_TAPE_H
#define TRIAL_TAPE_H

#include "base/err.h"

#include <errand/errand.h>

struct tape {
    json_t *answers;
    json_t *given; /* of each, whether it was */
};

/* text: of the file called name, for errors. False: the sentence says which answer is wrong, and
 * how. */
bool tape_parse(struct tape *tape, const char *text, const char *name, struct err *err);
void tape_clear(struct tape *tape);
/* The next answer to it, borrowed; NULL: there is none. *number: its place, from 1. */
const json_t *tape_take(struct tape *tape, const char *method, const char *url, size_t *number);
/* How many were never given (those to be repeated do not count). */
size_t tape_left(const struct tape *tape);

/* What an answer's body is: the caller frees it. */
char *tape_body(const json_t *answer, size_t *length);
/* An answer as it is written down. */
json_t *tape_record(const char *method, const char *url, int status, json_t *headers,
                    const char *body, size_t length);

#endif
