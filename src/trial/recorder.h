/* A server on this machine that stands for the servers which a handler speaks to: it gives recorded
 * answers, or sends the requests on and writes the answers down. It has threads of its own, so that
 * it answers while the loop does something else. */
#ifndef TRIAL_RECORDER_H
#define TRIAL_RECORDER_H

#include "base/err.h"
#include "trial/tape.h"

struct recorder;

/* tape NULL: requests are sent on. */
bool recorder_new(struct recorder **recorder, struct tape *tape, struct err *err);
/* Ends what is under way. */
void recorder_free(struct recorder *recorder);

/* As http_route says; owner is the recorder. On the loop's thread only. */
const char *recorder_route(const struct errand_request *request, void *owner);

/* What was asked for up to now: an array of {"method", "url", "request_bytes"} with the "status"
 * and "bytes" of the answer, and its number in the tape as "answer"; without "status" when there
 * was none. The caller's. */
json_t *recorder_requests(struct recorder *recorder);
/* The first request for which there was no answer, as "POST https://..."; NULL: none. */
const char *recorder_unmatched(const struct recorder *recorder);
/* What was sent on, in the tape's form; the caller's. */
json_t *recorder_recorded(struct recorder *recorder);

#endif
