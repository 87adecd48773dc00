/* Endpoints that answer later: POST /callbacks/KIND/TOKEN. One that is rightly signed becomes the
 * signal that its job waits for. */
#ifndef WEB_CALLBACKS_H
#define WEB_CALLBACKS_H

#include "config/settings.h"
#include "db/pool.h"
#include "httpd/httpd.h"

struct registry;

struct callbacks {
    struct db_pool pool;
    const struct registry *registry;
};

void callbacks_init(struct callbacks *callbacks, struct loop *loop, const struct settings *settings,
                    const struct registry *registry);
void callbacks_clear(
    struct callbacks *callbacks); /* what is not stored is answered so, in the call */
void callbacks_handle(struct callbacks *callbacks, const char *path, struct httpd_request *request);

#endif
