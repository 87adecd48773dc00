/* Where webhooks come from that errand knows by itself: how each signs, which settings hold its
 * secrets, and which job acts on its events. */
#ifndef WEB_SOURCE_H
#define WEB_SOURCE_H

#include "config/settings.h"
#include "web/signature.h"

struct source {
    const char *name; /* as in /webhooks/NAME and errand.webhook_event.source */
    enum signature_scheme scheme;
    const char *header;     /* of SIGNATURE_HEX, in lower case; NULL: of the scheme */
    const char *secret;     /* setting of the section source_settings */
    const char *secret_old; /* the one before it */
    const char *kind;       /* of the job of each event */
    const char *queue;      /* NULL: the kind's */
    const char *type;       /* where the event's type stands in its body: names with dots between */
};

extern const struct settings_section source_settings; /* [webhook] */

extern const struct source source_table[];
extern const size_t source_count;

const struct source *source_find(const char *name); /* NULL: errand does not know it */

/* As signature_keys_init; the error names the settings. */
bool source_keys(const struct source *source, const struct settings *settings,
                 struct signature_keys *keys, struct err *err);

#endif
