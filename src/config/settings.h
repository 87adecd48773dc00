/* What errand was told: one table a section (`errand` itself, and a section per module), filled
 * from these places, the first that has a value counting:
 *
 *     flag                 --listen false, or --set email.api_key=...
 *     environment          ERRAND_LISTEN, ERRAND_EMAIL_API_KEY
 *     systemd credential   errand.listen, email.api_key
 *     file                 [errand] and below it listen = false
 *     default              of the table
 *
 * Where a setting names another variable (RESEND_API_KEY), that one is read when its own is not
 * set. An empty variable or credential counts as not set; an empty text in the file or a flag means
 * "none". Every secret, and the password inside database_url, is handed to log_secret as it is
 * loaded. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/err.h"

#include <errand/errand.h>

struct settings;

struct settings_section {
    const char *name; /* [a-z][a-z0-9_]*; of the configuration's own making also NAME.NAME */
    const struct errand_setting *table;
    size_t count;
};

/* The core section comes by itself. The tables are borrowed for the life of the settings. */
struct settings *settings_new(const struct settings_section *modules, size_t count);
void settings_free(struct settings *settings);

/* Fills in errand's own section alone, whatever the others hold: what must be known before the
 * others' tables are. settings_load comes after it. */
bool settings_load_core(struct settings *settings, const char *file, struct err *err);
/* Before settings_load: one more section, its table borrowed like the others, its name copied. */
void settings_extend(struct settings *settings, const struct settings_section *section);
/* A section whose module is not there now: whatever is set in it is left alone. Without effect on
 * one that is there. */
void settings_tolerate(struct settings *settings, const char *section);
/* Whether there is a section of the assignment's `section.key=value`. */
bool settings_knows(const struct settings *settings, const char *assignment);

/* Before settings_load: `section.key=value` as --set has it; and a core key by itself. */
bool settings_flag(struct settings *settings, const char *assignment, struct err *err);
bool settings_flag_core(struct settings *settings, const char *key, const char *value,
                        struct err *err);
bool settings_is_core(const char *key);
const char *settings_nearest_core(const char *key); /* NULL: none is near */

/* Reads everything. file NULL: ERRAND_CONFIG, else /etc/errand/errand.conf if that exists. Every
 * fault is ERR_CONFIG and says where (file:line, variable, flag), what is allowed, and the nearest
 * name. */
bool settings_load(struct settings *settings, const char *file, struct err *err);

/* Borrowed until settings_free. An unknown section or key, or a getter of another type, is a bug of
 * the caller. */
const char *settings_text(const struct settings *settings, const char *section,
                          const char *key); /* NULL: unset */
long long settings_integer(const struct settings *settings, const char *section, const char *key);
bool settings_boolean(const struct settings *settings, const char *section, const char *key);

/* "default", "flag --listen", "environment ERRAND_LISTEN", "credential errand.listen",
 * "/etc/...:12". */
const char *settings_origin(const struct settings *settings, const char *section, const char *key);
const char *settings_file(const struct settings *settings); /* that was read; NULL: none */

/* All of them, section by section, for listing. shown has secrets as *** and lives until the next
 * call. */
struct settings_view {
    const char *section;
    const struct errand_setting *setting;
    const char *shown; /* NULL: unset */
    const char *origin;
};
size_t settings_count(const struct settings *settings);
struct settings_view settings_at(struct settings *settings, size_t index);

#endif
