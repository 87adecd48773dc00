/* What follows from a provider's answer, for the mails of a request, for the request and for the
 * queue. */
#ifndef EMAIL_OUTCOME_H
#define EMAIL_OUTCOME_H

#include "answer.h"
#include "request.h"

/* That the run shall send nothing more: its other mails wait so long, for this reason. */
struct outcome_stop {
    bool wanted;
    int64_t ms;
    const char *reason;
};

/* Afterwards each mail of the request in this run is finished, or WAITING (BUILT) to go out in
 * another one. status and shown are for the books. */
void outcome_apply(struct request *request, const struct email_settings *settings,
                   const struct answer *answer, int status, const char *shown,
                   struct outcome_stop *stop);

/* Its key is no longer trusted: nobody can know what became of it. */
void outcome_give_up(struct request *request);

#endif
