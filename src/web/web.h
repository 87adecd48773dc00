/* What errand says over HTTP: its routes. Attached to a runner, on the runner's loop. */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "queue/runner.h"

struct web;

struct web *web_new(void);
void web_free(struct web *web);
/* For runner_run. The web outlives the runner. */
struct runner_front web_front(struct web *web);

#endif
