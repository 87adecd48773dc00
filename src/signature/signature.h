/* Signatures of requests: whether one was sent by who knows the secret, and those of our own. Pure:
 * headers, body and time are handed in. Compares in constant time. */
#ifndef SIGNATURE_SIGNATURE_H
#define SIGNATURE_SIGNATURE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum signature_scheme {
    /* Standard Webhooks (Svix, Resend): the headers svix-id, svix-timestamp and svix-signature, or
     * the same with webhook-. The secret is whsec_ and base64. */
    SIGNATURE_STANDARD,
    /* HMAC-SHA256 of the body as hex in one header (Lemon Squeezy). The secret is taken as it
     * stands; no time is signed, so whoever stores the event must know a repeat. */
    SIGNATURE_HEX
};

enum {
    SIGNATURE_SECRETS_MAX = 2, /* a new one and the one before it, while both are in use */
    SIGNATURE_KEY_BYTES = 512,
    SIGNATURE_ID_BYTES_MAX = 256,
    SIGNATURE_TOLERANCE_S = 300, /* either way */
    SIGNATURE_HEX_BYTES = 65,    /* SHA-256 as text, with its NUL */
    SIGNATURE_SECRET_BYTES = 48  /* of signature_secret_new, with its NUL */
};

/* Lives in place, for one thread; signature_keys_clear wipes it. */
struct signature_keys {
    enum signature_scheme scheme;
    const char *header; /* SIGNATURE_HEX: its name; borrowed */
    size_t count;
    struct evp_mac_ctx_st *macs[SIGNATURE_SECRETS_MAX]; /* of libcrypto; the keys are in them */
};

/* secrets: NULL and "" are none. With none at all the keys are well, and every request is refused.
 * False: ERR_CONFIG, a secret is not of its form; what is in it is not told. */
bool signature_keys_init(struct signature_keys *keys, enum signature_scheme scheme,
                         const char *header, const char *const *secrets, size_t count,
                         struct err *err);
void signature_keys_clear(struct signature_keys *keys);

/* A new secret in the scheme's form: whsec_ and base64 of 24 bytes, or 40 hex digits (Lemon Squeezy
 * takes 40 characters at most). False: the system has no randomness. */
bool signature_secret_new(enum signature_scheme scheme, char secret[SIGNATURE_SECRET_BYTES]);

struct signature_request {
    /* The value of a header, whose name is asked for in lower case (SIGNATURE_HEX: as keys->header
     * has it); NULL: it is not there. */
    const char *(*header)(const void *context, const char *name);
    const void *context;
    const void *body; /* as it was received */
    size_t length;
    int64_t now_s; /* since 1970 */
};

enum signature_verdict {
    SIGNATURE_RIGHT,
    SIGNATURE_NO_SECRET,
    SIGNATURE_NO_HEADERS,
    SIGNATURE_BAD_ID,
    SIGNATURE_BAD_TIMESTAMP,
    SIGNATURE_TOO_OLD,
    SIGNATURE_TOO_NEW,
    SIGNATURE_BAD_FORM, /* nothing in the header could be a signature */
    SIGNATURE_WRONG
};

/* id: who sent the event says that it is this one; borrowed from the headers. NULL with
 * SIGNATURE_HEX, and when the verdict is another than SIGNATURE_RIGHT. */
enum signature_verdict signature_verify(const struct signature_keys *keys,
                                        const struct signature_request *request, const char **id);
const char *signature_verdict_text(enum signature_verdict verdict); /* a clause, for people */

/* Adds the value of the signature's header, by every key (SIGNATURE_HEX: by the first). id and
 * timestamp_s do not matter for SIGNATURE_HEX. False: there is no key, or id cannot be signed. */
bool signature_sign(const struct signature_keys *keys, const char *id, int64_t timestamp_s,
                    const void *body, size_t length, struct buf *value);

/* SHA-256 as lower-case hex: the id of an event whose sender gives none. */
void signature_body_id(const void *body, size_t length, char id[SIGNATURE_HEX_BYTES]);

#endif
