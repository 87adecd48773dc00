#include "config/setting_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool setting_value_boolean(const char *text, bool *value)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        *value = strcmp(text, yes[i]) == 0;
        if (*value || strcmp(text, no[i]) == 0)
            return true;
    }
    return false;
}

bool setting_value_integer(const char *text, long long *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && !isspace((unsigned char)*text);
}

static bool setting_value_in_range(const struct errand_setting *setting, const char *value)
{
    long long number;
    return setting_value_integer(value, &number) && number >= setting->min &&
           number <= setting->max;
}

bool setting_value_check(const struct errand_setting *setting, const char *section,
                         const char *where, const char *value, struct err *err)
{
    bool truth;
    if (strlen(value) > SETTING_VALUE_MAX_BYTES)
        return err_set(err, ERR_CONFIG, "%s: %s.%s is longer than %d bytes", where, section,
                       setting->name, SETTING_VALUE_MAX_BYTES);
    if (setting->type == ERRAND_SETTING_BOOLEAN && !setting_value_boolean(value, &truth))
        return err_set(err, ERR_CONFIG, "%s: %s.%s is '%.80s'; allowed: true or false", where,
                       section, setting->name, value);
    if (setting->type == ERRAND_SETTING_INTEGER && !setting_value_in_range(setting, value))
        return err_set(err, ERR_CONFIG,
                       "%s: %s.%s is '%.80s'; allowed: a whole number from %lld to %lld", where,
                       section, setting->name, value, setting->min, setting->max);
    return true;
}
