/* errand plugins */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/table.h"
#include "module/loader.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* One plug-in; file NULL: it is linked in. */
struct plugin_view {
    const struct errand_module *module; /* NULL: refused */
    const struct loader_file *file;
};

static const char *plugin_state(const struct plugin_view *view)
{
    return !view->file ? "linked" : view->module ? "loaded" : "refused";
}

static const char *plugin_name(const struct plugin_view *view)
{
    if (view->module)
        return view->module->name;
    return view->file->name ? view->file->name : "";
}

static json_t *plugin_json(const struct plugin_view *view)
{
    const struct errand_module *module = view->module;
    json_t *kinds = json_array();
    for (size_t i = 0; module && i < module->kind_count; i++)
        json_array_append_new(kinds, json_string(module->kinds[i].name));
    json_t *object = json_pack(
        "{s:s, s:s, s:s?, s:s?, s:o, s:s?}", "name", plugin_name(view), "state", plugin_state(view),
        "version", module ? module->version : NULL, "file", view->file ? view->file->path : NULL,
        "kinds", kinds, "reason", view->file ? view->file->reason : NULL);
    json_object_set_new(object, "abi",
                        module ? json_integer((json_int_t)module->abi) : json_null());
    return object;
}

static void plugin_add(struct table *table, const struct plugin_view *view)
{
    const struct errand_module *module = view->module;
    char abi[16] = "";
    struct buf said;
    buf_init(&said, 0);
    for (size_t i = 0; module && i < module->kind_count; i++)
        buf_printf(&said, "%s%s", i ? ", " : "", module->kinds[i].name);
    if (module)
        snprintf(abi, sizeof abi, "%u", module->abi);
    else
        buf_printf(&said, "%s", view->file->reason);
    const char *const cells[] = {plugin_name(view),
                                 plugin_state(view),
                                 module ? module->version : "",
                                 abi,
                                 view->file ? view->file->path : "",
                                 buf_text(&said)};
    table_add(table, cells);
    buf_clear(&said);
}

/* The number'th: those that are linked in, then the files. False: there are no more. */
static bool plugin_at(const struct loader *loader, size_t number, struct plugin_view *view)
{
    size_t linked = 0;
    while (loader->linked[linked])
        linked++;
    if (number >= linked + loader->file_count)
        return false;
    const struct loader_file *file = number < linked ? NULL : &loader->files[number - linked];
    *view = (struct plugin_view){file ? file->module : loader->linked[number], file};
    return true;
}

static void plugins_print_json(const struct loader *loader)
{
    struct plugin_view view;
    json_t *items = json_array();
    for (size_t i = 0; plugin_at(loader, i, &view); i++)
        json_array_append_new(items, plugin_json(&view));
    char *text = json_dumps(items, 0);
    puts(text ? text : "[]");
    free(text);
    json_decref(items);
}

static void plugins_print(const struct loader *loader)
{
    static const char *const headings[] = {"name", "state", "version",
                                           "abi",  "file",  "kinds or reason"};
    static const struct table_shape shape = {headings, 6, 0, true};
    struct plugin_view view;
    struct table table;
    table_init(&table, &shape);
    for (size_t i = 0; plugin_at(loader, i, &view); i++)
        plugin_add(&table, &view);
    table_print(&table);
    table_clear(&table);
}

int cmd_plugins(struct cli *cli)
{
    if (cli->json)
        plugins_print_json(cli->loader);
    else
        plugins_print(cli->loader);
    return FAILURE_OK;
}
