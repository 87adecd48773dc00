/* A request to the provider: stored before it leaves, sent, and its outcome stored. It ends its
 * mails only where a mail itself stands in the way of storing it.
 *
 *            store                    outcome known
 *   (mails) -------> open, in flight ---------------> settled
 *                      |    ^   |
 *                      |    +---+ outcome not known: the same bytes under the same key again
 *                      +--------> void              certainly nothing was sent
 */
#ifndef EMAIL_REQUEST_H
#define EMAIL_REQUEST_H

#include "answer.h"
#include "mail.h"

enum { REQUEST_BATCH_BYTES = 8 << 20 }; /* of a body with more than one mail */

struct request {
    struct errand_job *job; /* for the calls that wait */
    const char *id;         /* the idempotency key */
    const char *body;
    bool batch;
    bool fresh; /* stored a moment ago: it was not sent before */
    int64_t first_sent_us;
    size_t count;
    struct mail **mails; /* by position; NULL: its job is not in this run */
};

enum request_result {
    REQUEST_READY,
    REQUEST_NOT_READY, /* storing: a mail stood in the way, and is finished or WAITING again;
                          reading: settled meanwhile */
    REQUEST_FAILED     /* the database; *error says why */
};

/* Stores a request of built mails (one, or several without attachments); they become REQUESTED when
 * it is READY. */
enum request_result request_store(struct request *request, struct mail **mails, size_t count,
                                  const char **error);
/* Reads an open one, with those of the mails that are in it. */
enum request_result request_read(struct request *request, const char *id, struct mails *mails,
                                 const char **error);

/* Sends it and waits for the answer, which wants answer_clear. shown: what came, for the books.
 * False: errand asked the job to end, and nothing is known. */
bool request_send(const struct request *request, const struct email_settings *settings,
                  struct answer *answer, int *status, const char **shown);

/* Stores an outcome for each of its mails, here or not; outcomes are by position. A failure is only
 * logged: the outcome is committed with each mail anyway. */
void request_settle(const struct request *request, const struct mail_outcome *outcomes, int status,
                    const char *shown);
/* Certainly nothing was sent: its mails may be built anew. False: the database failed. */
bool request_void(const struct request *request, int status, const char *shown);

/* Whether a sender in it is another than the settings' one. */
bool request_has_own_sender(const struct request *request, const struct email_settings *settings);

#endif
