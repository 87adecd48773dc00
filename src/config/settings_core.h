/* The table of errand's own settings, section `errand`, and the rules that a table cannot say. */
#ifndef CONFIG_SETTINGS_CORE_H
#define CONFIG_SETTINGS_CORE_H

#include "config/settings.h"

extern const struct settings_section settings_core;

/* Allowed words and list forms of a core setting; false: *allowed says what is allowed. */
bool settings_core_accepts(const char *key, const char *value, const char **allowed);

#endif
