/* systemd's credentials: files in $CREDENTIALS_DIRECTORY, `section.key` each. */
#ifndef CONFIG_CREDENTIAL_H
#define CONFIG_CREDENTIAL_H

#include "base/err.h"

enum credential_result { CREDENTIAL_NONE, CREDENTIAL_READ, CREDENTIAL_FAILED };

/* *text is the caller's, to free with credential_free, without the line ends that editors leave
 * behind. */
enum credential_result credential_read(const char *section, const char *key, char **text,
                                       struct err *err);
void credential_free(char *text);

#endif
