/* An endpoint that answers later: it has said 202, and POSTs what came of it to a url of errand's,
 * signed with the secret of its kind. Here are that url's last part and what is POSTed; the request
 * itself is the HTTP front's. */
#ifndef KIND_CALLBACK_H
#define KIND_CALLBACK_H

#include "signature/signature.h"

#include <stdint.h>

struct registry;

struct callback {
    const struct signature_keys *keys; /* of its kind; borrowed, until the loop goes on */
    int64_t job_id;
    int round; /* which of the job's requests it answers, from 1 */
};

enum { CALLBACK_SIGNAL_BYTES = 24 };
/* The signal that the job waits for. */
void callback_signal(int round, char name[CALLBACK_SIGNAL_BYTES]);

/* KIND/JOB.ROUND.MAC: nobody who does not know the secret can say it for another job. */
void callback_add_path(struct buf *path, const struct signature_keys *keys, const char *kind,
                       int64_t job_id, int round);
/* False: path is none that the newest version of a kind of this process would have given out. */
bool callback_find(struct callback *callback, const struct registry *registry, const char *path);

/* NULL: body (NUL-terminated) says what came of the job. Else a sentence that says what is wrong.
 */
const char *callback_fault(const char *body);

#endif
