/* Watches the directory of jobs: a file that was written and closed, or moved into or out of its
 * place, is taken up a moment later; all of it is looked at anew when somebody asks (SIGHUP). */
#ifndef KIND_WATCH_H
#define KIND_WATCH_H

#include "loop/loop.h"
#include "module/registry.h"

struct kind_watch;

/* Takes up what is there now, into the registry. */
struct kind_watch *kind_watch_new(const char *path, struct registry *registry);
/* From now on on_change(owner) comes after each change of the registry. */
void kind_watch_start(struct kind_watch *watch, struct loop *loop, void (*on_change)(void *owner),
                      void *owner);
/* Looks at the whole directory now; on_change may come inside. */
void kind_watch_reload(struct kind_watch *watch);
/* Takes its kinds out of the registry. */
void kind_watch_free(struct kind_watch *watch); /* may be NULL */

#endif
