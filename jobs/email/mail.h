/* A mail of the run: its job, its message as read from the database, and how it ends. Each mail is
 * finished once, by one of the functions at the end. */
#ifndef EMAIL_MAIL_H
#define EMAIL_MAIL_H

#include "message.h"
#include "settings.h"

#include <errand/errand.h>

enum mail_state {
    MAIL_WAITING,   /* to be built and sent */
    MAIL_BUILT,     /* message is there */
    MAIL_REQUESTED, /* it is in a request that is stored */
    MAIL_FINISHED
};

struct mail {
    struct errand_job *job;
    enum mail_state state;
    const char *id;                                           /* of the message */
    const char *version;                                      /* by which a change is noticed */
    const char *message_type, *subject, *recipient, *content; /* the row's */
    json_t *suppressed; /* addresses to leave out of the copies, or NULL */
    struct message message;
    bool alone; /* not in a batch */

    /* The request that it is in already, whose outcome has not been written into the message; NULL:
     * none. */
    const char *request_id;
    size_t position;
};

struct mails {
    struct errand_job *job; /* one of them, for the calls that wait */
    const struct email_settings *settings;
    size_t count;
    struct mail *list;
};

/* Reads the messages of jobs. Those that are not to be sent, or whose outcome is known, are
 * finished. Memory lives until mails_clear and the attempt's end. */
void mails_load(struct mails *mails, const struct email_settings *settings,
                struct errand_job *const *jobs, size_t count);
bool mails_are_finished(const struct mails *mails);
void mails_clear(struct mails *mails);

/* WAITING to BUILT, or finished as failed. */
void mail_build(struct mail *mail, const struct email_settings *settings);

/* What became of it in its request, told by the provider. */
struct mail_outcome {
    const char *word;        /* "sent", "failed" or "unknown" */
    const char *provider_id; /* NULL: none */
    const char *error;       /* NULL: none */
    int64_t at_us;
};

void mail_finish(struct mail *mail, const struct mail_outcome *outcome);
/* It is not given to the provider: word is "failed" or "suppressed". */
void mail_refuse(struct mail *mail, const char *word, const char *reason);
/* The attempt failed. The last one ends it: as unknown when a request may have arrived, else as
 * failed. */
void mail_retry(struct mail *mail, int64_t delay_ms, const char *reason);
/* Looked at again after delay_ms; not a failed attempt. */
void mail_later(struct mail *mail, int64_t delay_ms, const char *reason);
/* Those that are not finished. */
void mails_later(struct mails *mails, int64_t delay_ms, const char *reason);

#endif
