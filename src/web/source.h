/* Where webhooks come from: how each signs, which settings hold its secrets, and which job acts on
 * its events. Some are known by themselves, others an operator adds. */
#ifndef WEB_SOURCE_H
#define WEB_SOURCE_H

#include "base/arena.h"
#include "config/settings.h"
#include "signature/signature.h"

struct source {
    const char *name; /* as in /webhooks/NAME and errand.webhook_event.source */
    enum signature_scheme scheme;
    const char *header;     /* of SIGNATURE_HEX, in lower case; NULL: of the scheme */
    const char *section;    /* of the settings */
    const char *secret;     /* in that section */
    const char *secret_old; /* the one before it */
    const char *kind;       /* of the job of each event */
    const char *queue;      /* NULL: the kind's */
    const char *type;       /* where the event's type stands in its body: names with dots between */
};

extern const struct settings_section source_settings; /* [webhook] */

/* Between settings_load_core and settings_load: a section [webhook.NAME] for each name of
 * errand.webhook_sources. False: ERR_CONFIG, a name is taken. */
bool source_declare(struct settings *settings, struct err *err);

const struct source *source_find(const char *name); /* one that errand knows by itself, or NULL */

struct source_list {
    struct arena arena;
    struct source *sources;
    size_t count;
};

/* All of them; borrows from the settings. False: ERR_CONFIG, a section [webhook.NAME] does not say
 * what it must, or says what cannot be; then there is nothing to clear. */
bool source_list_init(struct source_list *list, const struct settings *settings, struct err *err);
void source_list_clear(struct source_list *list);
const struct source *source_list_find(const struct source_list *list,
                                      const char *name); /* NULL: there is none */

/* As signature_keys_init; the error names the settings. */
bool source_keys(const struct source *source, const struct settings *settings,
                 struct signature_keys *keys, struct err *err);
bool source_is_own(const struct source *source); /* an operator has added it */

#endif
