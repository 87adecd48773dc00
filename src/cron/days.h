/* The two day fields: what only they may hold (L, LW, L-n, nW, nL, n#k), and the days they name
 * together, for every shape that a month can have. */
#ifndef CRON_DAYS_H
#define CRON_DAYS_H

#include "base/err.h"
#include "cron/cron.h"
#include "cron/field.h"

#include <stdbool.h>

/* One item of a day field's list, added to days. */
bool days_item(struct cron_days *days, enum field field, struct piece item, struct err *err);

/* Fills cron->month from cron->days. */
void days_spread(struct cron *cron);

/* Whether any month that the expression names can have such a day. */
bool days_exist(const struct cron *cron);

#endif
