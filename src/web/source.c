#include "web/source.h"

#include <ctype.h>
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

static const struct source known[] = {
    {.name = "resend",
     .scheme = SIGNATURE_STANDARD,
     .section = "webhook",
     .secret = "resend_secret",
     .secret_old = "resend_secret_old",
     .kind = "email.event",
     .type = "type"},
    {.name = "lemonsqueezy",
     .scheme = SIGNATURE_HEX,
     .header = "x-signature",
     .section = "webhook",
     .secret = "lemonsqueezy_secret",
     .secret_old = "lemonsqueezy_secret_old",
     .kind = "billing.event",
     .type = "meta.event_name"},
};
enum { KNOWN = sizeof known / sizeof *known };

const struct source *source_find(const char *name)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

/* ---- Sources of one's own ---- */

static const struct errand_setting own_table[] = {
    {"scheme", ERRAND_SETTING_TEXT, "standard", NULL, 0, 0,
     "how it signs: standard (Standard Webhooks) or hex (HMAC-SHA256 as hex in one header)"},
    {"header", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "that header, for the scheme hex"},
    {"secret", ERRAND_SETTING_SECRET, NULL, NULL, 0, 0, "its signing secret"},
    {"secret_old", ERRAND_SETTING_SECRET, NULL, NULL, 0, 0,
     "the one before it, while both are in use"},
    {"kind", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "kind of the job that acts on an event"},
    {"queue", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "queue of that job; unset: the kind's"},
    {"type", ERRAND_SETTING_TEXT, "type", NULL, 0, 0,
     "where the event's type stands in its JSON: names with dots between"},
};

bool source_is_own(const struct source *source)
{
    return strcmp(source->section, source_settings.name) != 0;
}

/* The names of errand.webhook_sources, one after the other. NULL: that was the last. */
static const char *names_next(const char **at, struct arena *arena)
{
    *at += strspn(*at, ", ");
    size_t length = strcspn(*at, ", ");
    const char *name = length ? arena_strndup(arena, *at, length) : NULL;
    *at += length;
    return name;
}

static const char *names_of(const struct settings *settings)
{
    const char *names = settings_text(settings, "errand", "webhook_sources");
    return names ? names : "";
}

bool source_declare(struct settings *settings, struct err *err)
{
    const char *at = names_of(settings), *name;
    struct arena arena;
    bool ok = true;
    arena_init(&arena);
    while (ok && (name = names_next(&at, &arena))) {
        const char *any = arena_printf(&arena, "webhook.%s.kind=", name);
        if (settings_knows(settings, any))
            ok = err_set(err, ERR_CONFIG, "errand.webhook_sources: %s stands there twice", name);
        else if (source_find(name))
            ok = err_set(err, ERR_CONFIG,
                         "errand.webhook_sources: errand knows %s by itself; its secret is "
                         "webhook.%s_secret",
                         name, name);
        else
            settings_extend(settings, &(struct settings_section){
                                          arena_printf(&arena, "webhook.%s", name), own_table,
                                          sizeof own_table / sizeof *own_table});
    }
    arena_clear(&arena);
    return ok;
}

/* Of a kind or a queue. */
static bool own_check_name(const struct source *source, const char *key, const char *name,
                           struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(name);
    return (length <= 63 && strspn(name, allowed) == length && !strchr("_.-", name[0])) ||
           err_set(err, ERR_CONFIG,
                   "%s.%s is '%.80s'; allowed: a-z, 0-9, '_', '.' and '-', at most 63 characters, "
                   "the first a letter or digit",
                   source->section, key, name);
}

static bool own_read_header(struct source_list *list, struct source *source, const char *header,
                            struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    if (source->scheme == SIGNATURE_STANDARD)
        return !header ||
               err_set(err, ERR_CONFIG,
                       "%s.header is for the scheme hex: standard has headers of its own",
                       source->section);
    if (!header)
        return err_set(err, ERR_CONFIG,
                       "%s.header is not set: in which header does the signature stand?",
                       source->section);
    char *lower = arena_strdup(&list->arena, header);
    for (char *at = lower; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    source->header = lower;
    return strspn(lower, allowed) == strlen(lower) ||
           err_set(err, ERR_CONFIG, "%s.header is '%.80s', which no header can be called",
                   source->section, header);
}

static bool own_read(struct source_list *list, struct source *source,
                     const struct settings *settings, struct err *err)
{
    const char *section = source->section;
    const char *scheme = settings_text(settings, section, "scheme");
    const char *type = settings_text(settings, section, "type");
    source->kind = settings_text(settings, section, "kind");
    source->queue = settings_text(settings, section, "queue");
    source->type = type ? type : "";
    source->scheme = scheme && strcmp(scheme, "hex") == 0 ? SIGNATURE_HEX : SIGNATURE_STANDARD;
    if (!scheme || (strcmp(scheme, "hex") != 0 && strcmp(scheme, "standard") != 0))
        return err_set(err, ERR_CONFIG, "%s.scheme is '%.80s'; allowed: standard or hex", section,
                       scheme ? scheme : "");
    if (!source->kind)
        return err_set(err, ERR_CONFIG, "%s.kind is not set: which job acts on its events?",
                       section);
    return own_read_header(list, source, settings_text(settings, section, "header"), err) &&
           own_check_name(source, "kind", source->kind, err) &&
           (!source->queue || own_check_name(source, "queue", source->queue, err));
}

/* ---- All ---- */

bool source_list_init(struct source_list *list, const struct settings *settings, struct err *err)
{
    const char *at = names_of(settings), *name;
    arena_init(&list->arena);
    list->sources = arena_zalloc(&list->arena, (KNOWN + strlen(at)) * sizeof *list->sources);
    memcpy(list->sources, known, sizeof known);
    list->count = KNOWN;
    while ((name = names_next(&at, &list->arena))) {
        struct source *source = &list->sources[list->count];
        *source = (struct source){.name = name,
                                  .section = arena_printf(&list->arena, "webhook.%s", name),
                                  .secret = "secret",
                                  .secret_old = "secret_old"};
        if (!own_read(list, source, settings, err)) {
            source_list_clear(list);
            return false;
        }
        list->count++;
    }
    return true;
}

void source_list_clear(struct source_list *list)
{
    arena_clear(&list->arena);
    list->count = 0;
}

const struct source *source_list_find(const struct source_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->sources[i].name, name) == 0)
            return &list->sources[i];
    return NULL;
}

bool source_keys(const struct source *source, const struct settings *settings,
                 struct signature_keys *keys, struct err *err)
{
    const char *const secrets[] = {
        settings_text(settings, source->section, source->secret),
        settings_text(settings, source->section, source->secret_old),
    };
    return signature_keys_init(keys, source->scheme, source->header, secrets, 2, err) ||
           err_prefix(err, "%s.%s, or %s.%s", source->section, source->secret, source->section,
                      source->secret_old);
}
