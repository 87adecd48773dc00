/* The form of the configuration file: [section] headings, `key = value` lines, and whole lines of
 * comment that begin with # or ;. A value is all that follows the first =, without the blanks
 * around it: no quotes, no escapes, no comment behind it, no continuation. What the names mean is
 * not known here.
 *
 * Not libinih: the one that distributions build cuts a line after 197 bytes without a word, and
 * connection URLs and service keys are longer. */
#ifndef CONFIG_SETTINGS_FILE_H
#define CONFIG_SETTINGS_FILE_H

#include "base/err.h"

enum { SETTINGS_FILE_LINE_MAX = 8192 };

/* All texts are borrowed for the call. where is "path:line". False, with err set, ends the reading.
 */
typedef bool settings_file_pair(void *context, const char *where, const char *section,
                                const char *key, const char *value, struct err *err);

/* ERR_CONFIG when the file cannot be read, or a line is too long, no pair, or outside any section.
 */
bool settings_file_read(const char *path, settings_file_pair *on_pair, void *context,
                        struct err *err);

#endif
