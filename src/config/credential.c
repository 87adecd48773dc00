#include "config/credential.h"

#include "base/mem.h"
#include "config/setting_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One byte more than a value may have, so that a longer one is seen as such. */
enum { CREDENTIAL_BYTES = SETTING_VALUE_MAX_BYTES + 2 };

static bool credential_read_stream(FILE *stream, char *text)
{
    size_t length = fread(text, 1, CREDENTIAL_BYTES - 1, stream);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    text[length] = '\0';
    return !ferror(stream);
}

enum credential_result credential_read(const char *section, const char *key, char **text,
                                       struct err *err)
{
    char path[4096];
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (!directory || !*directory)
        return CREDENTIAL_NONE;
    snprintf(path, sizeof path, "%s/%s.%s", directory, section, key);
    FILE *stream = fopen(path, "re");
    if (!stream && errno == ENOENT)
        return CREDENTIAL_NONE;
    *text = mem_zalloc(CREDENTIAL_BYTES);
    bool ok = stream && credential_read_stream(stream, *text);
    if (!ok)
        err_set(err, ERR_CONFIG, "cannot read credential %s: %s", path, strerror(errno));
    if (stream)
        fclose(stream);
    if (!ok)
        credential_free(*text);
    return ok ? CREDENTIAL_READ : CREDENTIAL_FAILED;
}

void credential_free(char *text)
{
    explicit_bzero(text, CREDENTIAL_BYTES);
    free(text);
}
