#include "config/settings_core.h"

#include "base/log.h"
#include "base/schema.h"

#include <string.h>

static const struct errand_setting settings_core_table[] = {
    {"database_url", ERRAND_SETTING_TEXT, NULL, "DATABASE_URL", 0, 0,
     "PostgreSQL to use, as a URL or as key=value; unset: libpq's PG* variables apply"},
    {"schema", ERRAND_SETTING_TEXT, SCHEMA_DEFAULT, NULL, 0, 0,
     "schema of errand's own tables and functions in the database"},
    {"queues", ERRAND_SETTING_TEXT, "*", NULL, 0, 0,
     "queues that this runner serves, separated by commas; * serves all"},
    {"concurrency", ERRAND_SETTING_INTEGER, "100", NULL, 1, 10000,
     "jobs that run at the same time"},
    {"stop_timeout_ms", ERRAND_SETTING_INTEGER, "20000", NULL, 0, 3600000,
     "how long running jobs may finish after SIGTERM, milliseconds"},
    {"threads", ERRAND_SETTING_INTEGER, "4", NULL, 1, 256,
     "threads for handlers' heavy work (errand_thread)"},
    {"lease_ttl_ms", ERRAND_SETTING_INTEGER, "10000", NULL, 2000, 600000,
     "how long a silent runner keeps its lanes, milliseconds"},
    {"listen", ERRAND_SETTING_BOOLEAN, "true", NULL, 0, 0,
     "wake by LISTEN/NOTIFY; false behind a transaction pooler, where polling must do"},
    {"log_level", ERRAND_SETTING_TEXT, "info", NULL, 0, 0,
     "least level that is logged: debug, info, warn or error"},
    {"job_log_level", ERRAND_SETTING_TEXT, "info", NULL, 0, 0,
     "least level of jobs' log lines that are kept in the database: debug, info, warn, error, "
     "none"},
    {"log_format", ERRAND_SETTING_TEXT, "logfmt", NULL, 0, 0,
     "form of the log lines on stderr: logfmt or json"},
    {"name", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "the runner's name, as operators see it; unset: host:pid"},
    {"jobs", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "directory of jobs: plug-ins (NAME.so) and files that are kinds; unset: none"},
    {"http_listen", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "where to listen for HTTP, separated by commas: ADDRESS:PORT or /path; unset: nowhere"},
    {"http_public_url", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "https://...: under which others reach what listens there; unset: nobody is told to"},
    {"http_deadline_ms", ERRAND_SETTING_INTEGER, "15000", NULL, 100, 600000,
     "how long an HTTP request may take to come and to be handled, milliseconds"},
    {"http_connections", ERRAND_SETTING_INTEGER, "10000", NULL, 1, 100000,
     "HTTP connections at the same time"},
    {"http_connections_per_address", ERRAND_SETTING_INTEGER, "100", NULL, 1, 100000,
     "HTTP connections at the same time from one address, or one IPv6 /64"},
    {"http_metrics", ERRAND_SETTING_BOOLEAN, "true", NULL, 0, 0,
     "whether GET /metrics there tells what the runner counts"},
    {"http_trusted_proxies", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "proxies whose word on the client's address counts: addresses, ADDRESS/BITS, unix, separated "
     "by commas"},
    {"http_proxy_header", ERRAND_SETTING_TEXT, "X-Forwarded-For", NULL, 0, 0,
     "the header in which they tell it: X-Forwarded-For or Forwarded"},
    {"webhook_sources", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0,
     "senders of webhooks besides those that errand knows, separated by commas; each has a section "
     "[webhook.NAME]"},
    {"state_directory", ERRAND_SETTING_TEXT, NULL, "STATE_DIRECTORY", 0, 0,
     "directory for what must outlast errand: webhooks that came while the database was away"},
    {"webhook_spool_mb", ERRAND_SETTING_INTEGER, "1024", NULL, 1, 1048576,
     "what may wait there, MiB; more is refused"},
    {"webhook_keep_days", ERRAND_SETTING_INTEGER, "35", NULL, 1, 3650,
     "how long webhooks that were applied or ignored are kept, days"},
    {"webhook_keep_open_days", ERRAND_SETTING_INTEGER, "180", NULL, 1, 3650,
     "how long those are kept that were not: stored, unassigned or failed, days"},
};

const struct settings_section settings_core = {
    "errand", settings_core_table, sizeof settings_core_table / sizeof *settings_core_table};

static bool queue_name_is_valid(const char *name, size_t length)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    return length > 0 && length <= 63 && strspn(name, allowed) >= length;
}

static bool queues_are_valid(const char *list)
{
    if (strcmp(list, "*") == 0)
        return true;
    for (const char *at = list;; at++) {
        at += strspn(at, " ");
        size_t length = strcspn(at, ", ");
        if (!queue_name_is_valid(at, length))
            return false;
        at += length;
        at += strspn(at, " ");
        if (*at != ',')
            return *at == '\0';
    }
}

static bool sources_are_valid(const char *list)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    for (const char *at = list; *at; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ", ");
        if (!length || length > 32 || *at < 'a' || *at > 'z' || strspn(at, allowed) < length)
            return false;
        at += length;
    }
    return true;
}

bool settings_core_accepts(const char *key, const char *value, const char **allowed)
{
    enum log_level level;
    enum log_format format;
    if (strcmp(key, "log_level") == 0) {
        *allowed = "debug, info, warn or error";
        return log_level_parse(value, &level);
    }
    if (strcmp(key, "job_log_level") == 0) {
        *allowed = "debug, info, warn, error or none";
        return strcmp(value, "none") == 0 || log_level_parse(value, &level);
    }
    if (strcmp(key, "log_format") == 0) {
        *allowed = "logfmt or json";
        return log_format_parse(value, &format);
    }
    if (strcmp(key, "schema") == 0) {
        *allowed = "[a-z_][a-z0-9_]*, at most 40 characters, not pg_*, public or a reserved word";
        return schema_name_is_valid(value);
    }
    if (strcmp(key, "queues") == 0) {
        *allowed = "* or queue names ([a-z0-9_.-], at most 63 bytes) separated by commas";
        return queues_are_valid(value);
    }
    if (strcmp(key, "webhook_sources") == 0) {
        *allowed = "names ([a-z][a-z0-9_]*, at most 32 bytes) separated by commas";
        return sources_are_valid(value);
    }
    if (strcmp(key, "name") == 0) {
        *allowed = "at most 200 bytes";
        return strlen(value) <= 200;
    }
    return true;
}
