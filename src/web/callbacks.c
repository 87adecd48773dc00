#include "web/callbacks.h"

#include "base/log.h"
#include "kind/callback.h"
#include "web/signed.h"
#include "web_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STATEMENT_MS = 10000, LOCK_MS = 2000, TIMEOUT_MS = 10000, RETRY_AFTER_S = 5 };

void callbacks_init(struct callbacks *callbacks, struct loop *loop, const struct settings *settings,
                    const struct registry *registry)
{
    const char *url = settings_text(settings, "errand", "database_url");
    const struct db_pool_options options = {
        .name = "errand callbacks",
        .conninfo = url ? url : "",
        .schema = settings_text(settings, "errand", "schema"),
        .size = 1,
        .statement_ms = STATEMENT_MS,
        .lock_ms = LOCK_MS,
    };
    *callbacks = (struct callbacks){.registry = registry};
    db_pool_init(&callbacks->pool, loop, &options);
}

void callbacks_clear(struct callbacks *callbacks)
{
    db_pool_clear(&callbacks->pool);
}

static void callbacks_say(struct httpd_request *request, int status, const char *what)
{
    char line[160];
    int length = snprintf(line, sizeof line, "%s\n", what);
    httpd_answer(request, &(struct httpd_answer){.status = status,
                                                 .retry_after_s = status == 503 ? RETRY_AFTER_S : 0,
                                                 .body = line,
                                                 .length = (size_t)length});
}

/* What became of the signal. One that is known was sent before: the sender did not hear of it. */
static void callbacks_on_done(struct db_unit *unit, void *owner)
{
    struct httpd_request *request = owner;
    if (unit->err.code != ERR_NONE) {
        log_event(LOG_WARN, "callback not stored", "error", unit->err.text, NULL);
        callbacks_say(request, 503, "the callback could not be stored, send it again");
        return;
    }
    const char *became = PQgetvalue(db_unit_result(unit, 0), 0, 0);
    if (strcmp(became, "late") == 0)
        callbacks_say(request, 410, "the job no longer waits for this");
    else if (strcmp(became, "ended") == 0 || strcmp(became, "not found") == 0)
        callbacks_say(request, 410, "the job has ended");
    else
        callbacks_say(request, 200, "ok");
}

static void callbacks_send(struct callbacks *callbacks, const struct callback *callback,
                           struct httpd_request *request)
{
    char id[24], name[CALLBACK_SIGNAL_BYTES];
    snprintf(id, sizeof id, "%" PRId64, callback->job_id);
    callback_signal(callback->round, name);
    const char *params[] = {id, name, request->body};
    struct db_unit *unit = db_unit_new(DB_PLAIN, callbacks_on_done, request);
    db_unit_add(unit, &web_sql[WEB_SQL_CALLBACK_SIGNAL], 3, params);
    db_pool_submit(&callbacks->pool, unit, TIMEOUT_MS);
}

void callbacks_handle(struct callbacks *callbacks, const char *path, struct httpd_request *request)
{
    struct callback callback;
    const char *id, *fault;
    enum signed_class class;
    if (!callback_find(&callback, callbacks->registry, path)) {
        callbacks_say(request, 404, "nobody was given this url");
        return;
    }
    fault = signed_fault(callback.keys, request, &id, &class);
    if (fault) {
        callbacks_say(request, 401, fault);
        return;
    }
    fault = strlen(request->body) == request->body_length ? callback_fault(request->body)
                                                          : "it holds a NUL";
    if (fault)
        callbacks_say(request, 400, fault);
    else
        callbacks_send(callbacks, &callback, request);
}
