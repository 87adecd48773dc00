#include "isolate/module.h"

struct process_plan isolate_plan(const struct errand_module *module,
                                 const struct settings *settings)
{
    const struct isolate_module *isolated = (const struct isolate_module *)module;
    return (struct process_plan){
        .path = isolated->path,
        .name = module->name,
        .limits = {
            .memory_bytes = settings_integer(settings, module->name, "isolation_memory_bytes"),
            .cpu_seconds = settings_integer(settings, module->name, "isolation_cpu_seconds"),
        }};
}

void isolate_write_settings(struct buf *buf, const struct errand_module *module,
                            const struct settings *settings)
{
    frame_int(buf, (int64_t)module->setting_count);
    for (size_t i = 0; i < module->setting_count; i++) {
        frame_text(buf, module->settings[i].name);
        frame_text(buf, settings_text(settings, module->name, module->settings[i].name));
    }
}
