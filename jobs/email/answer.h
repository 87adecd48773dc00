/* What to do with a request after a mail provider answered, or did not. Resend's error table
 * decides; bytes that are not Resend's (a proxy's page, garbage, half a body) are judged by the
 * status alone. The rule behind every case: "not sent" is claimed only where the provider cannot
 * have taken the mail; otherwise the outcome is unknown and the same bytes go out again under the
 * same key. Pure. */
#ifndef EMAIL_ANSWER_H
#define EMAIL_ANSWER_H

#include "rate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ANSWER_REASON_BYTES = 501, /* NUL included */
    ANSWER_ID_BYTES = 129,     /* NUL included */
    ANSWER_MAX_ITEMS = 100     /* Resend's border for a batch */
};

enum answer_transport {
    ANSWER_ARRIVED,       /* a status and a whole body */
    ANSWER_NOT_CONNECTED, /* no connection: nothing was sent */
    ANSWER_LOST,          /* time-out or cut off after sending began */
    ANSWER_TOO_LARGE      /* a status, and a body past the limit, of which the beginning is given */
};

/* Whether mail was sent, and what now. */
enum answer_action {
    /* each item by itself: see items */
    ANSWER_ACCEPTED,
    /* not sent; fail for good with the reason */
    ANSWER_REFUSED,
    /* not sent; a batch was refused whole: send its items one by one, each under a new key */
    ANSWER_SPLIT,
    /* perhaps, earlier, under this key; fail for good: the reason says so */
    ANSWER_KEY_CONFLICT,
    /* perhaps: a request with this key still runs; same key again after wait_ms */
    ANSWER_BUSY,
    /* not sent; again after wait_ms, and it was no attempt */
    ANSWER_RATE_LIMITED,
    /* not sent; pause the queue with the reason for wait_ms, and it was no attempt */
    ANSWER_QUOTA,
    /* not sent; pause the queue with the reason until a person has mended the key, the account, the
     * sender's domain or the base URL */
    ANSWER_BAD_KEY,
    /* unknown; same key and bytes again, not before wait_ms */
    ANSWER_RETRY,
    /* not sent; same key and bytes again */
    ANSWER_NOT_SENT
};

/* Everything is borrowed for the call. Header values are NULL when absent. */
struct answer_input {
    enum answer_transport transport;
    int status;       /* 0 when none came */
    const char *body; /* any bytes, or NULL */
    size_t body_length;
    bool batch;        /* POST /emails/batch */
    size_t item_count; /* mails in the request, 1 to ANSWER_MAX_ITEMS */
    const char *retry_after;
    const char *ratelimit_limit, *ratelimit_remaining, *ratelimit_reset;
    int64_t now_s; /* Unix time, for a retry-after that is a date */
};

struct answer_item {
    bool accepted;
    char id[ANSWER_ID_BYTES];         /* the provider's id of an accepted item */
    char reason[ANSWER_REASON_BYTES]; /* of a refused one (permissive batches): it was not sent */
};

struct answer {
    enum answer_action action;
    char reason[ANSWER_REASON_BYTES]; /* one line of UTF-8; empty when accepted */
    int64_t wait_ms;        /* 0: the caller's own back-off; at most an hour, for a quota a day */
    bool is_sender_refused; /* with ANSWER_BAD_KEY: perhaps only for this sender */
    struct rate rate;       /* what the headers said, with any action */
    struct answer_item *items; /* item_count of the request when accepted, else NULL */
};

/* Never fails; answer is overwritten and wants answer_clear afterwards. */
void answer_read(struct answer *answer, const struct answer_input *input);
void answer_clear(struct answer *answer);

/* "accepted", "refused", ... for logs and metrics. */
const char *answer_action_name(enum answer_action action);

#endif
