/* errand plugins */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/table.h"
#include "kind/directory.h"
#include "module/loader.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* One plug-in, or one kind that is a file. */
struct plugin_view {
    const struct errand_module *module; /* NULL: refused */
    const char *state, *name, *version, *file, *reason;
};

static struct plugin_view view_of_linked(const struct errand_module *module)
{
    return (struct plugin_view){
        .module = module, .state = "linked", .name = module->name, .version = module->version};
}

static struct plugin_view view_of_file(const struct loader_file *file)
{
    const struct errand_module *module = file->module;
    return (struct plugin_view){.module = module,
                                .state = module ? "loaded" : "refused",
                                .name = module       ? module->name
                                        : file->name ? file->name
                                                     : "",
                                .version = module ? module->version : NULL,
                                .file = file->path,
                                .reason = file->reason};
}

static struct plugin_view view_of_slot(const struct kind_slot *slot)
{
    const struct kind_file *file = slot->reason ? NULL : slot->file;
    return (struct plugin_view){.module = file ? &file->module : NULL,
                                .state = file ? "loaded" : "refused",
                                .name = slot->name,
                                .file = slot->path,
                                .reason = slot->reason};
}

static json_t *view_json(const struct plugin_view *view)
{
    const struct errand_module *module = view->module;
    json_t *kinds = json_array();
    for (size_t i = 0; module && i < module->kind_count; i++)
        json_array_append_new(kinds, json_string(module->kinds[i].name));
    json_t *object = json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:s?}", "name", view->name, "state",
                               view->state, "version", view->version, "file", view->file, "kinds",
                               kinds, "reason", view->reason);
    json_object_set_new(object, "abi",
                        view->version ? json_integer((json_int_t)module->abi) : json_null());
    return object;
}

static void view_add_row(struct table *table, const struct plugin_view *view)
{
    const struct errand_module *module = view->module;
    char abi[16] = "";
    struct buf said;
    buf_init(&said, 0);
    for (size_t i = 0; module && i < module->kind_count; i++)
        buf_printf(&said, "%s%s", i ? ", " : "", module->kinds[i].name);
    if (view->version)
        snprintf(abi, sizeof abi, "%u", module->abi);
    if (!module)
        buf_printf(&said, "%s", view->reason);
    const char *const cells[] = {view->name,
                                 view->state,
                                 view->version ? view->version : "",
                                 abi,
                                 view->file ? view->file : "",
                                 buf_text(&said)};
    table_add(table, cells);
    buf_clear(&said);
}

/* ---- All of them ---- */

struct plugins_out {
    json_t *items; /* NULL: a table */
    struct table table;
};

static void plugins_add(struct plugins_out *out, const struct plugin_view *view)
{
    if (out->items)
        json_array_append_new(out->items, view_json(view));
    else
        view_add_row(&out->table, view);
}

/* Those that are linked in, those that are files, the kinds that are files. */
static void plugins_add_all(struct plugins_out *out, const struct loader *loader,
                            const struct kind_directory *directory)
{
    struct plugin_view view;
    for (size_t i = 0; loader->linked[i]; i++) {
        view = view_of_linked(loader->linked[i]);
        plugins_add(out, &view);
    }
    for (size_t i = 0; i < loader->file_count; i++) {
        view = view_of_file(&loader->files[i]);
        plugins_add(out, &view);
    }
    for (const struct kind_slot *slot = directory ? directory->slots : NULL; slot;
         slot = slot->next) {
        view = view_of_slot(slot);
        plugins_add(out, &view);
    }
}

static void plugins_print(struct plugins_out *out)
{
    if (!out->items) {
        table_print(&out->table);
        return;
    }
    char *text = json_dumps(out->items, 0);
    puts(text ? text : "[]");
    free(text);
}

int cmd_plugins(struct cli *cli)
{
    static const char *const headings[] = {"name", "state", "version",
                                           "abi",  "file",  "kinds or reason"};
    static const struct table_shape shape = {headings, 6, 0, true};
    const char *path = settings_text(cli->settings, "errand", "jobs");
    struct plugins_out out = {.items = cli->json ? json_array() : NULL};
    struct kind_directory directory;
    table_init(&out.table, &shape);
    if (path) {
        kind_directory_init(&directory, path, &cli->loader->registry);
        kind_directory_scan(&directory, true);
    }
    plugins_add_all(&out, cli->loader, path ? &directory : NULL);
    plugins_print(&out);
    if (path)
        kind_directory_clear(&directory);
    table_clear(&out.table);
    json_decref(out.items);
    return FAILURE_OK;
}
