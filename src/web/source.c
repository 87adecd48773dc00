#include "web/source.h"

#include <string.h>

static const struct errand_setting settings_table[] = {
    {"resend_secret", ERRAND_SETTING_SECRET, NULL, "RESEND_WEBHOOK_SECRET", 0, 0,
     "signing secret of Resend's webhooks, whsec_...; unset: none is taken"},
    {"resend_secret_old", ERRAND_SETTING_SECRET, NULL, NULL, 0, 0,
     "the one before it, while both are in use"},
    {"lemonsqueezy_secret", ERRAND_SETTING_SECRET, NULL, "LEMONSQUEEZY_WEBHOOK_SECRET", 0, 0,
     "signing secret of Lemon Squeezy's webhooks; unset: none is taken"},
    {"lemonsqueezy_secret_old", ERRAND_SETTING_SECRET, NULL, NULL, 0, 0,
     "the one before it, while both are in use"},
};

const struct settings_section source_settings = {"webhook", settings_table,
                                                 sizeof settings_table / sizeof *settings_table};

const struct source source_table[] = {
    {.name = "resend",
     .scheme = SIGNATURE_STANDARD,
     .secret = "resend_secret",
     .secret_old = "resend_secret_old",
     .kind = "email.event",
     .type = "type"},
    {.name = "lemonsqueezy",
     .scheme = SIGNATURE_HEX,
     .header = "x-signature",
     .secret = "lemonsqueezy_secret",
     .secret_old = "lemonsqueezy_secret_old",
     .kind = "billing.event",
     .type = "meta.event_name"},
};
const size_t source_count = sizeof source_table / sizeof *source_table;

const struct source *source_find(const char *name)
{
    for (size_t i = 0; i < source_count; i++)
        if (strcmp(source_table[i].name, name) == 0)
            return &source_table[i];
    return NULL;
}

bool source_keys(const struct source *source, const struct settings *settings,
                 struct signature_keys *keys, struct err *err)
{
    const char *const secrets[] = {
        settings_text(settings, source_settings.name, source->secret),
        settings_text(settings, source_settings.name, source->secret_old),
    };
    return signature_keys_init(keys, source->scheme, source->header, secrets, 2, err) ||
           err_prefix(err, "webhook.%s, or webhook.%s", source->secret, source->secret_old);
}
