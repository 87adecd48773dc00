/* What operators have set for the kinds that this runner serves: pauses, limits, what the history
 * keeps, retry policies. Read when the runner registers, and again when a beat brings another
 * marker. */
#ifndef QUEUE_KIND_SETTING_H
#define QUEUE_KIND_SETTING_H

#include "base/arena.h"
#include "db/unit.h"
#include "module/registry.h"

struct runner;

enum kind_keep { KIND_KEEP_ALL, KIND_KEEP_ERRORS, KIND_KEEP_NONE };

struct kind_setting {
    int64_t paused_until_us; /* database's clock; INT64_MIN: not paused */
    int concurrency;         /* in its own queue; 0: no limit */
    enum kind_keep keep;
    struct errand_retry *retries;
    size_t retry_count;
};

struct kind_settings {
    struct arena arena;
    struct kind_setting *kinds; /* by the kind's number */
    size_t count;
    int64_t marker; /* of what is loaded */
    bool loading;
};

void kind_settings_init(struct kind_settings *settings, const struct registry *registry);
/* Room for kinds that have come; nothing is set for them yet. */
void kind_settings_grow(struct kind_settings *settings, const struct registry *registry);
void kind_settings_clear(struct kind_settings *settings);
const struct kind_setting *kind_settings_of(const struct kind_settings *settings,
                                            const struct kind *kind);

/* Adds the statement that reads them; its result goes to kind_settings_take. */
void kind_settings_add(struct db_unit *unit, const struct runner *runner);
void kind_settings_take(struct runner *runner, const PGresult *rows);
/* A beat's marker: reads them anew when it is another one. */
void kind_settings_check(struct runner *runner, int64_t marker);

#endif
