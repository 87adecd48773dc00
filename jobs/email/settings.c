#include "settings.h"

#include <stdlib.h>
#include <string.h>

const struct errand_setting email_settings_table[EMAIL_SETTINGS_COUNT] = {
    {"api_key", ERRAND_SETTING_SECRET, NULL, "RESEND_API_KEY", 0, 0,
     "Resend's API key; without one the queue email pauses"},
    {"url", ERRAND_SETTING_TEXT, "https://api.resend.com", NULL, 0, 0, "base URL of the API"},
    {"from", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "sender of messages that name none: user@host or Name <user@host>"},
    {"reply_to", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "where answers go of messages that do not say"},
    {"rate", ERRAND_SETTING_INTEGER, "2", NULL, 1, 1000,
     "requests a second, until the provider's answers tell its limit"},
    {"templates", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "directory of NAME.subject.txt, NAME.html and NAME.txt"},
    {"timeout_ms", ERRAND_SETTING_INTEGER, "30000", NULL, 100, 60000,
     "how long a request may take, milliseconds"},
    {"max_body_bytes", ERRAND_SETTING_INTEGER, "2097152", NULL, 1000, 33554432,
     "html and text of one mail together, bytes"},
    {"key_window_ms", ERRAND_SETTING_INTEGER, "82800000", NULL, 0, 86400000,
     "how long after its first send a request of unknown outcome is sent again, milliseconds"},
};

/* Checked to be a number within its bounds before the module sees it. */
static long long setting_integer(struct errand_host *host, const char *name)
{
    const char *text = errand_host_setting(host, name);
    return text ? strtoll(text, NULL, 10) : 0;
}

static bool email_settings_set_url(struct email_settings *settings, struct errand_host *host)
{
    const char *url = errand_host_setting(host, "url");
    size_t length = url ? strlen(url) : 0;
    if (!url || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) ||
        strpbrk(url, " \t\r\n?#")) {
        errand_host_error(host, "url is no http:// or https:// address of an API");
        return false;
    }
    while (length > 0 && url[length - 1] == '/')
        length--;
    settings->url = strndup(url, length);
    return settings->url != NULL;
}

static bool email_settings_set_key(struct email_settings *settings, struct errand_host *host)
{
    static const char scheme[] = "Bearer ";
    const char *key = errand_host_setting(host, "api_key");
    if (!key || !*key)
        return true;
    for (const char *at = key; *at; at++)
        if (*at <= ' ' || *at > '~') {
            errand_host_error(host, "api_key has a character that no key has");
            return false;
        }
    settings->authorization = calloc(1, sizeof scheme + strlen(key));
    if (!settings->authorization)
        return false;
    memcpy(settings->authorization, scheme, sizeof scheme);
    strcpy(settings->authorization + sizeof scheme - 1, key);
    return true;
}

/* *text is set to what messages get, NULL when the setting has no value. */
static bool email_settings_set_address(struct address *address, const char **text, const char *name,
                                       struct errand_host *host)
{
    const char *given = errand_host_setting(host, name);
    struct email_error error;
    if (!given || !*given)
        return true;
    if (!address_parse(address, given, name, &error)) {
        errand_host_error(host, "%s", error.text);
        return false;
    }
    *text = address->text;
    return true;
}

static bool email_settings_set_templates(struct email_settings *settings, struct errand_host *host)
{
    const char *directory = errand_host_setting(host, "templates");
    struct email_error error;
    if (!directory || !*directory)
        return true;
    if (!templates_load(&settings->templates, directory, &error)) {
        errand_host_error(host, "templates: %s", error.text);
        return false;
    }
    settings->message.templates = settings->templates.list;
    settings->message.template_count = settings->templates.count;
    return true;
}

bool email_settings_load(struct email_settings *settings, struct errand_host *host)
{
    *settings = (struct email_settings){
        .timeout_ms = (int)setting_integer(host, "timeout_ms"),
        .key_window_us = setting_integer(host, "key_window_ms") * 1000,
        .rate = (double)setting_integer(host, "rate"),
        .message.max_body_bytes = (size_t)setting_integer(host, "max_body_bytes"),
    };
    if (email_settings_set_url(settings, host) && email_settings_set_key(settings, host) &&
        email_settings_set_address(&settings->from, &settings->message.from, "from", host) &&
        email_settings_set_address(&settings->reply_to, &settings->message.reply_to, "reply_to",
                                   host) &&
        email_settings_set_templates(settings, host))
        return true;
    email_settings_clear(settings);
    return false;
}

void email_settings_clear(struct email_settings *settings)
{
    free(settings->authorization);
    free(settings->url);
    templates_clear(&settings->templates);
    *settings = (struct email_settings){0};
}
