/* One value of one setting: what its text means, and whether it is allowed. */
#ifndef CONFIG_SETTING_VALUE_H
#define CONFIG_SETTING_VALUE_H

#include "base/err.h"

#include <errand/errand.h>

enum { SETTING_VALUE_MAX_BYTES = 65536 };

bool setting_value_boolean(const char *text, bool *value);
bool setting_value_integer(const char *text, long long *value);

/* By the type and the range of the table alone. where and section are for the message, which never
 * holds a secret. */
bool setting_value_check(const struct errand_setting *setting, const char *section,
                         const char *where, const char *value, struct err *err);

#endif
