#include "cli/filter.h"

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/when.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const filter_headings[] = {"id",      "queue",  "kind", "state",
                                              "attempt", "run_at", "key",  "error"};
const struct table_shape filter_shape = {filter_headings, 8, 1 << 0 | 1 << 3 | 1 << 4 | 1 << 5,
                                         true};

/* A part in double quotes, from behind the first one; NULL: there is no second one. */
static const char *filter_quoted_part(const char *at, struct buf *part)
{
    for (; *at != '"'; at++) {
        if (*at == '\\' && at[1])
            at++;
        if (!*at)
            return NULL;
        buf_add_char(part, *at);
    }
    return at + 1;
}

/* One part of a path, up to what ends it: a dot or the equals sign. NULL: something else does. */
static const char *filter_part(const char *at, struct buf *path)
{
    struct buf part;
    buf_init(&part, 0);
    if (*at == '"') {
        at = filter_quoted_part(at + 1, &part);
    } else {
        size_t length = strcspn(at, ".=");
        buf_add(&part, at, length);
        at += length;
    }
    buf_array_text(path, buf_text(&part));
    buf_clear(&part);
    return at && (*at == '.' || *at == '=') ? at : NULL;
}

bool filter_split_args(const char *text, struct buf *path, const char **value, bool *is_json)
{
    if (*text == '=')
        return false;
    buf_array_open(path);
    while ((text = filter_part(text, path)) && *text == '.')
        text++;
    buf_array_close(path);
    if (!text)
        return false;
    *value = text + 1;
    json_t *parsed = json_loads(*value, JSON_DECODE_ANY, NULL);
    *is_json = parsed != NULL;
    json_decref(parsed);
    return true;
}

static bool filter_read_args(struct filter *filter, const struct cli *cli)
{
    const char *text;
    size_t at = 0;
    bool ok = true;
    struct buf path;
    buf_init(&path, 0);
    buf_array_open(&filter->paths);
    buf_array_open(&filter->values);
    buf_array_open(&filter->are_json);
    while (ok && (text = cli_flag_next(cli, "args", &at))) {
        const char *value;
        bool is_json;
        ok = filter_split_args(text, &path, &value, &is_json);
        if (!ok) {
            failure_usage(cli,
                          "Name a path into the args, dots between its parts, and in double quotes "
                          "a part that holds a dot: customer.id=42, \"a.b\".id=42",
                          "--args is '%.80s'; it takes PATH=VALUE", text);
            break;
        }
        buf_array_text(&filter->paths, buf_text(&path));
        buf_array_text(&filter->values, value);
        buf_array_text(&filter->are_json, is_json ? "true" : "false");
    }
    buf_clear(&path);
    buf_array_close(&filter->paths);
    buf_array_close(&filter->values);
    buf_array_close(&filter->are_json);
    return ok;
}

static void filter_read_tags(struct filter *filter, const struct cli *cli)
{
    const char *tag;
    size_t at = 0;
    buf_array_open(&filter->tags);
    while ((tag = cli_flag_next(cli, "tag", &at)))
        ask_list_add(&filter->tags, tag);
    buf_array_close(&filter->tags);
}

bool filter_init(struct filter *filter, const struct cli *cli)
{
    static const char *const states[] = {"scheduled", "ready",     "running", "waiting", "held",
                                         "done",      "cancelled", "dead",    "unknown"};
    static const struct {
        enum filter_param param;
        const char *flag;
    } plain[] = {{FILTER_STATE, "state"}, {FILTER_QUEUE, "queue"}, {FILTER_KIND, "kind"},
                 {FILTER_KEY, "key"},     {FILTER_ERROR, "error"}, {FILTER_SINCE, "since"},
                 {FILTER_UNTIL, "until"}};
    *filter = (struct filter){.given = false};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        filter->params[plain[i].param] = cli_flag(cli, plain[i].flag);
        filter->given |= filter->params[plain[i].param] != NULL;
    }
    bool ok = cli_word(cli, "--state", filter->params[FILTER_STATE], states,
                       sizeof states / sizeof *states) &&
              filter_read_args(filter, cli);
    filter_read_tags(filter, cli);
    filter->given |= cli_flag(cli, "args") || cli_flag(cli, "tag");
    if (cli_flag(cli, "args")) {
        filter->params[FILTER_PATHS] = buf_text(&filter->paths);
        filter->params[FILTER_VALUES] = buf_text(&filter->values);
        filter->params[FILTER_ARE_JSON] = buf_text(&filter->are_json);
    }
    if (cli_flag(cli, "tag"))
        filter->params[FILTER_TAGS] = buf_text(&filter->tags);
    if (!ok)
        filter_clear(filter);
    return ok;
}

void filter_clear(struct filter *filter)
{
    buf_clear(&filter->tags);
    buf_clear(&filter->paths);
    buf_clear(&filter->values);
    buf_clear(&filter->are_json);
}

static bool filter_resolve_one(struct filter *filter, enum filter_param param, char *fixed,
                               const char *what, const struct cli *cli, struct session *session,
                               int *status)
{
    if (!filter->params[param])
        return true;
    if (!ask_moment(cli, session, filter->params[param], what, fixed, status))
        return false;
    filter->params[param] = fixed;
    return true;
}

bool filter_resolve(struct filter *filter, const struct cli *cli, struct session *session,
                    int *status)
{
    return filter_resolve_one(filter, FILTER_SINCE, filter->times[0], "flag --since", cli, session,
                              status) &&
           filter_resolve_one(filter, FILTER_UNTIL, filter->times[1], "flag --until", cli, session,
                              status);
}

/* A filter by state says where alone there can be any; nothing else is read for it. */
static unsigned filter_places(const char *state)
{
    static const char *const ended[] = {"done", "cancelled", "unknown"};
    if (!state)
        return FILTER_OWED | FILTER_DEAD | FILTER_ENDED;
    if (strcmp(state, "dead") == 0)
        return FILTER_DEAD;
    for (size_t i = 0; i < sizeof ended / sizeof *ended; i++)
        if (strcmp(state, ended[i]) == 0)
            return FILTER_ENDED;
    return FILTER_OWED;
}

void filter_look_in(struct filter *filter, unsigned places)
{
    places &= filter_places(filter->params[FILTER_STATE]);
    filter->params[FILTER_IN_OWED] = places & FILTER_OWED ? "true" : "false";
    filter->params[FILTER_IN_DEAD] = places & FILTER_DEAD ? "true" : "false";
    filter->params[FILTER_IN_ENDED] = places & FILTER_ENDED ? "true" : "false";
}
