#include "cli/event_name.h"

#include "base/mem.h"
#include "cli/failure.h"

#include <stdio.h>
#include <string.h>

bool event_name_split(const struct cli *cli, const char *text, char **source, const char **id)
{
    const char *colon = text ? strchr(text, ':') : NULL;
    *source = NULL;
    *id = NULL;
    if (!text)
        return true;
    if (!colon || colon == text || !colon[1]) {
        failure_usage(cli, "`errand webhook list` has them in its first column.",
                      "'%.80s' is no event: it is SOURCE:ID", text);
        return false;
    }
    *source = mem_strndup(text, (size_t)(colon - text));
    *id = colon + 1;
    return true;
}

int event_name_missing(const struct cli *cli, const char *text)
{
    char message[200];
    snprintf(message, sizeof message, "there is no event %.150s", text);
    return failure_tell(cli, FAILURE_NOT_FOUND, message, "`errand webhook list` lists the events.");
}
