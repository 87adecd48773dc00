/* What section [email] says, checked once when errand starts. */
#ifndef EMAIL_SETTINGS_H
#define EMAIL_SETTINGS_H

#include "address.h"
#include "message.h"
#include "templates.h"

#include <errand/errand.h>

struct email_settings {
    char *authorization; /* the header's value; NULL: there is no API key */
    char *url;           /* without a slash at its end */
    struct address from, reply_to;
    struct templates templates;
    struct message_settings message;
    int timeout_ms;
    int64_t key_window_us; /* after the first send a key is trusted so long */
    double rate;           /* requests a second, until the provider says */
};

enum { EMAIL_SETTINGS_COUNT = 9 };
extern const struct errand_setting email_settings_table[EMAIL_SETTINGS_COUNT];

/* False with errand_host_error(). */
bool email_settings_load(struct email_settings *settings, struct errand_host *host);
void email_settings_clear(struct email_settings *settings);

#endif
