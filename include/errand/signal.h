/* Signals: what somebody tells a job under a name, with a JSON payload: an approval, an answer, a
 * file that has come. Senders call errand.signal(job_id, name, payload) in SQL. The first signal of
 * a name stands until the job has ended; what was sent before the job waits is kept for it. */
#ifndef ERRAND_SIGNAL_H
#define ERRAND_SIGNAL_H

#include <errand/errand.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

enum {
    ERRAND_SIGNAL_NAME_MAX = 200,
    ERRAND_SIGNAL_PAYLOAD_MAX = 1048576,
    ERRAND_SIGNALS_MAX = 1000
};
/* Waits for a signal without a slot, a connection or any memory: where it is not there yet, the
 * attempt ends at this call, which does not come back (see errand_cleanup), and does not count as
 * one. The job is run again from the top when the signal comes or timeout_ms are up (at most ten
 * years; negative: it waits for ever; 0: only a look), and then this call returns at once; so take
 * as steps what is not to be done again. Of the attempt that ended so no effect and no result
 * stays. In every later attempt the call ends as it did: with the same payload, or without, when
 * the time was up (what is sent afterwards is refused), counted from the first call.
 * True: *payload is the signal's JSON as PostgreSQL writes it, until the attempt ends, or NULL: the
 * time is up. False: *error (NULL: not wanted; until the attempt ends) says that the database could
 * not be reached, that the job is no longer this attempt's own, or what is wrong with the name (1
 * to 200 bytes): finish the job. In run_batch, of which other jobs go on, the call returns false,
 * too, for a job that is to wait, and nothing that is done to that job afterwards counts. */
bool errand_wait(struct errand_job *job, const char *name, int64_t timeout_ms, const char **payload,
                 const char **error);
/* Sends a signal to another job, as errand.signal does: at once, in a transaction of its own.
 * payload NULL: null. *became (NULL: not wanted; until the attempt ends) is what that returns:
 * "delivered", "stored", "known", "late", "ended" or "not found". Sent again, by another attempt or
 * after a false for which the connection was lost, it does no harm. False: *error (NULL: not
 * wanted; until the attempt ends) says why, and errand_query_class whether to try again. */
bool errand_signal(struct errand_job *job, int64_t id, const char *name, const json_t *payload,
                   const char **became, const char **error);
/* Sends it in the transaction that writes this attempt's end down, as errand_effect does. False:
 * *error says what is wrong with the payload, and nothing is added. */
bool errand_signal_effect(struct errand_job *job, int64_t id, const char *name,
                          const json_t *payload, const char **error);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
