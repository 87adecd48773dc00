/* errand config */
#include "cli/cmd.h"

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/table.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *type_name(enum errand_setting_type type)
{
    switch (type) {
    case ERRAND_SETTING_TEXT:
        return "text";
    case ERRAND_SETTING_INTEGER:
        return "integer";
    case ERRAND_SETTING_BOOLEAN:
        return "boolean";
    case ERRAND_SETTING_SECRET:
        return "secret";
    }
    return "?";
}

static json_t *view_json(const struct settings_view *view)
{
    const struct errand_setting *setting = view->setting;
    json_t *object =
        json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s?, s:s?, s:s}", "section", view->section, "key",
                  setting->name, "value", view->shown, "origin", view->origin, "type",
                  type_name(setting->type), "default", setting->initial, "environment",
                  setting->environment, "help", setting->help);
    if (setting->type == ERRAND_SETTING_INTEGER) {
        json_object_set_new(object, "min", json_integer(setting->min));
        json_object_set_new(object, "max", json_integer(setting->max));
    }
    return object;
}

static void config_print_json(const struct cli *cli)
{
    json_t *items = json_array();
    for (size_t i = 0; i < settings_count(cli->settings); i++) {
        struct settings_view view = settings_at(cli->settings, i);
        json_array_append_new(items, view_json(&view));
    }
    char *text = json_dumps(items, 0);
    puts(text ? text : "[]");
    free(text);
    json_decref(items);
}

static void config_print(const struct cli *cli)
{
    static const char *const headings[] = {"setting", "value", "from"};
    static const struct table_shape shape = {headings, 3, 0, false};
    struct table table;
    table_init(&table, &shape);
    for (size_t i = 0; i < settings_count(cli->settings); i++) {
        struct settings_view view = settings_at(cli->settings, i);
        char name[160];
        snprintf(name, sizeof name, "%s.%s", view.section, view.setting->name);
        const char *const cells[] = {name, view.shown ? view.shown : "(none)", view.origin};
        table_add(&table, cells);
    }
    table_print(&table);
    table_clear(&table);
}

int cmd_config(struct cli *cli)
{
    if (cli->json)
        config_print_json(cli);
    else
        config_print(cli);
    return FAILURE_OK;
}
