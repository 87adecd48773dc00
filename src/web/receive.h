/* Receiving webhooks: /webhooks/NAME. A request whose signature is right becomes an event, which is
 * answered 200 when it is stored; all others are refused without asking the database. */
#ifndef WEB_RECEIVE_H
#define WEB_RECEIVE_H

#include "config/settings.h"
#include "httpd/httpd.h"
#include "loop/loop.h"
#include "web/signed.h"
#include "web/spool.h"

struct receive;

/* False: ERR_CONFIG, a secret is not of its form; what was made is to be freed all the same. Says
 * in the log which sources have no secret. on_quiet: receive_is_quiet has become true. */
bool receive_new(struct receive **receive, struct loop *loop, const struct settings *settings,
                 void (*on_quiet)(void *owner), void *owner, struct err *err);
void receive_stop(struct receive *receive);           /* nothing new is sent from the spool */
bool receive_is_quiet(const struct receive *receive); /* after that: nothing works on the spool */
/* Events that are not stored are answered so, in the call. NULL is nothing. */
void receive_free(struct receive *receive);

/* Since it began; answered 200: stored, spooled. */
struct receive_counts {
    const char *source;
    uint64_t stored, spooled;
    uint64_t unavailable; /* answered 503 */
    uint64_t refused[SIGNED_CLASSES];
    uint64_t first, again; /* stored in the database, from the spool, too: new there; known */
};

void receive_counts(const struct receive *receive,
                    void (*each)(const struct receive_counts *counts, void *context),
                    void *context);
bool receive_spool_counts(const struct receive *receive,
                          struct spool_counts *counts); /* false: there is none */
const struct db_pool *receive_pool(const struct receive *receive);

/* Of a POST to the source of that name, before it is handled: whether its signature is wrong. */
bool receive_refuses(struct receive *receive, const char *name, const struct httpd_request *request,
                     struct httpd_refusal *refusal);
/* A POST to the source of that name. */
void receive_handle(struct receive *receive, const char *name, struct httpd_request *request);

#endif
